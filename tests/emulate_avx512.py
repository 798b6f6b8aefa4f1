#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs kernel calls on an emulated CPU with AVX-512: check_kernels --emulator 'python3 emulate_avx512.py IMAGE'.

The emulator is bochscpu-python, a Python module around the Bochs CPU core (a Skylake-X: AVX-512 F, BW, DQ, VL). A
request on standard input holds one call, a reply on standard output what it left:

    request  u32 list, case, row, operands; u64 dim[DIMS]; per operand u64 bytes, offset; the bytes of all operands' arenas.
             No operands: the row is only asked whether it fills the case's slot.
    reply    u32 status (0: returned, else 1 + the vector of the exception), u32 MXCSR, u64 faulting address (without
             operands: 1 where the slot is filled); the arenas

Every arena lies between pages that are not mapped, so that a stray access raises a page fault as it would on the machine.
"""
import ctypes
import os
import struct
import sys

try:
    import bochscpu
    import bochscpu.cpu
    import bochscpu.memory
except ImportError as error:
    sys.exit(f"bochscpu-python is not usable: {error}")

PAGE = 4096
DIMS = 12  # SCO_CASE_DIMS
PRESENT_WRITABLE = 7
TABLES, TABLE_PAGES = 0x1_0000_0000, 64  # guest-physical; page tables
PHYSICAL_ARENAS = 0x2_0000_0000
STACK_TOP, STACK_PAGES = 0x0800_0000, 64
RETURN = 0x0900_0000  # a page of HLT: where a call returns to
BLOCK = 0x0A00_0000  # dims and pointers of a call
ARENA, ARENA_STRIDE = 0x1000_0000, 0x0400_0000  # guest-virtual; 64 MiB for each operand

hosts = {}


def host(physical):
    page = physical & ~(PAGE - 1)
    if page not in hosts:
        hosts[page] = bochscpu.memory.allocate_host_page()
        ctypes.memset(hosts[page], 0, PAGE)
        bochscpu.memory.page_insert(page, hosts[page])
    return hosts[page]


def write(physical, data):
    at = 0
    while at < len(data):
        offset = (physical + at) % PAGE
        n = min(PAGE - offset, len(data) - at)
        ctypes.memmove(host(physical + at) + offset, data[at : at + n], n)
        at += n


def read(physical, size):
    parts = []
    while size:
        offset = physical % PAGE
        n = min(PAGE - offset, size)
        parts.append(ctypes.string_at(host(physical) + offset, n))
        physical += n
        size -= n
    return b"".join(parts)


class Space:
    """Four-level page tables of one address space, 4 KiB pages, made on demand."""

    def __init__(self):
        self.next_table = TABLES + PAGE
        self.tables = {}
        host(TABLES)

    def table(self, parent, index):
        key = (parent, index)
        if key not in self.tables:
            self.tables[key] = self.next_table
            host(self.next_table)
            write(parent + 8 * index, struct.pack("<Q", self.next_table | PRESENT_WRITABLE))
            self.next_table += PAGE
        return self.tables[key]

    def map(self, virtual, physical):
        table = TABLES
        for shift in (39, 30, 21):
            table = self.table(table, virtual >> shift & 511)
        entry = physical | PRESENT_WRITABLE if physical is not None else 0
        write(table + 8 * (virtual >> 12 & 511), struct.pack("<Q", entry))


def load(space, path):
    """Maps an ELF executable's segments where they say and returns the address of its entry point."""
    with open(path, "rb") as file:
        image = file.read()
    entry, headers = struct.unpack_from("<QQ", image, 24)
    (count,) = struct.unpack_from("<H", image, 56)
    for i in range(count):
        kind, _, offset, virtual, _, file_size, size, _ = struct.unpack_from("<IIQQQQQQ", image, headers + 56 * i)
        if kind != 1:
            continue
        for page in range(virtual & ~(PAGE - 1), virtual + size, PAGE):
            space.map(page, page)
            host(page)
        write(virtual, image[offset : offset + file_size])
    return entry


def initial_state(entry, arguments):
    state = bochscpu.State()
    bochscpu.cpu.set_long_mode(state)
    state.cr3 = TABLES
    state.cr0 = 0x80000033
    state.cr4 = 0x40620 | 1 << 18  # PAE, OSFXSR, OSXMMEXCPT, OSXSAVE
    state.efer = 0x500
    state.xcr0 = 0x600E7
    state.rflags, state.mxcsr, state.mxcsr_mask = 2, 0x1F80, 0xFFFF
    for names, selector, attributes in (("cs", 0x08, 0xA09B), ("ds es ss fs gs", 0x10, 0xC093)):
        segment = bochscpu.Segment()
        segment.present, segment.selector, segment.base = True, selector, 0
        segment.limit, segment.attr = 0xFFFFFFFF, attributes
        for name in names.split():
            setattr(state, name, segment)
    for name, value in zip(("rdi", "rsi", "rdx", "rcx", "r8"), arguments):
        setattr(state, name, value)
    state.rsp = STACK_TOP - 64 - 8
    write(state.rsp, struct.pack("<Q", RETURN))
    state.rip = entry
    return state


def main():
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the emulator prints must not mix with replies
    space = Space()
    entry = load(space, sys.argv[1])
    for page in range(STACK_TOP - STACK_PAGES * PAGE, STACK_TOP, PAGE):
        space.map(page, page)
    for page in (RETURN, BLOCK):
        space.map(page, page)
    write(RETURN, b"\xf4" * 16)

    outcome = {}
    hook = bochscpu.Hook()

    def halted(session, cpu):
        session.stop()

    def excepted(session, cpu, vector, code):
        outcome.setdefault("vector", int(getattr(vector, "value", vector)))
        session.stop()

    hook.hlt, hook.exception = halted, excepted
    session = bochscpu.Session()
    session.missing_page_handler = host
    mapped = []
    while True:
        head = requests.read(16)
        if len(head) < 16:
            return
        listing, case, row, count = struct.unpack("<4I", head)
        dims = requests.read(8 * DIMS)
        sizes = [struct.unpack("<QQ", requests.read(16)) for _ in range(count)]
        for virtual in mapped:
            space.map(virtual, None)
        mapped.clear()
        pointers = b""
        for i, (size, offset) in enumerate(sizes):
            physical, virtual = PHYSICAL_ARENAS + i * ARENA_STRIDE, ARENA + i * ARENA_STRIDE + PAGE
            write(physical, requests.read(size))
            for at in range(0, size, PAGE):
                space.map(virtual + at, physical + at)
                mapped.append(virtual + at)
            pointers += struct.pack("<Q", virtual + offset)
        write(BLOCK, dims + pointers)

        outcome.clear()
        session.cpu.state = initial_state(entry, (listing, case, row, BLOCK, BLOCK + len(dims) if count else 0))
        session.run([hook])
        after = session.cpu.state
        status = 1 + outcome["vector"] if "vector" in outcome else 0
        replies.write(struct.pack("<IIQ", status, after.mxcsr, after.cr2 if count else after.rax))
        for i, (size, _) in enumerate(sizes):
            replies.write(read(PHYSICAL_ARENAS + i * ARENA_STRIDE, size))
        replies.flush()


if __name__ == "__main__":
    main()
