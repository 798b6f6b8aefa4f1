/* SPDX-License-Identifier: Apache-2.0
 * The words of lanes_avx2.h for Highway rows, once per target: included inside #if SCO_HWY_TARGET, HWY_BEFORE_NAMESPACE
 * and the row's own namespaces. */
namespace hn = hwy::HWY_NAMESPACE;
using F32 = hn::ScalableTag<float>;
using F64 = hn::Repartition<double, F32>;
using I32 = hn::RebindToSigned<F32>;
using HalfF32 = hn::Half<F32>;
using lanes = hn::Vec<F32>;

enum : size_t { LANES = HWY_LANES(float) };

static HWY_INLINE lanes lanes_set(float x)
{
    return hn::Set(F32(), x);
}

static HWY_INLINE lanes lanes_load(const float *x)
{
    return hn::LoadU(F32(), x);
}

static HWY_INLINE void lanes_store(float *to, lanes x)
{
    hn::StoreU(x, F32(), to);
}

static HWY_INLINE void lanes_stream(float *to, lanes x)
{
    hn::Stream(x, F32(), to);
}

static HWY_INLINE void lanes_stream_end()
{
    hwy::FlushStream();
}

/* Only AVX2 and AVX-512 promise that masked lanes are not touched; elsewhere a tail goes through the stack. */
static HWY_INLINE lanes lanes_load_first(const float *x, size_t count)
{
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
    return hn::MaskedLoad(hn::FirstN(F32(), count), F32(), x);
#else
    HWY_ALIGN float whole[LANES] = {};
    memcpy(whole, x, count * sizeof *x);
    return hn::Load(F32(), whole);
#endif
}

static HWY_INLINE void lanes_store_first(float *to, lanes x, size_t count)
{
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
    hn::BlendedStore(x, hn::FirstN(F32(), count), F32(), to);
#else
    HWY_ALIGN float whole[LANES];
    hn::Store(x, F32(), whole);
    memcpy(to, whole, count * sizeof *to);
#endif
}

static HWY_INLINE lanes lanes_keep_first(lanes x, size_t count)
{
    return hn::IfThenElseZero(hn::FirstN(F32(), count), x);
}

static HWY_INLINE void lanes_transpose(lanes x[LANES])
{
    float cell[LANES * LANES];
    for (size_t i = 0; i < LANES; i++)
        lanes_store(cell + i * LANES, x[i]);
    for (size_t i = 0; i < LANES; i++)
        for (size_t j = 0; j < i; j++)
            std::swap(cell[i * LANES + j], cell[j * LANES + i]);
    for (size_t i = 0; i < LANES; i++)
        x[i] = lanes_load(cell + i * LANES);
}

static HWY_INLINE lanes lanes_add(lanes a, lanes b)
{
    return hn::Add(a, b);
}

static HWY_INLINE lanes lanes_sub(lanes a, lanes b)
{
    return hn::Sub(a, b);
}

static HWY_INLINE lanes lanes_mul(lanes a, lanes b)
{
    return hn::Mul(a, b);
}

static HWY_INLINE lanes lanes_div(lanes a, lanes b)
{
    return hn::Div(a, b);
}

static HWY_INLINE lanes lanes_sqrt(lanes a)
{
    return hn::Sqrt(a);
}

static HWY_INLINE lanes lanes_if_less(lanes a, lanes b, lanes x, lanes y)
{
    return hn::IfThenElse(hn::Lt(a, b), x, y);
}

static HWY_INLINE lanes lanes_if_equal(lanes a, lanes b, lanes x, lanes y)
{
    return hn::IfThenElse(hn::Eq(a, b), x, y);
}

static HWY_INLINE lanes lanes_if_above(lanes v, lanes bound, lanes x, lanes y)
{
    return hn::IfThenElse(hn::Lt(bound, v), x, hn::IfThenElse(hn::Eq(v, v), y, x));
}

static HWY_INLINE lanes lanes_abs(lanes x)
{
    return hn::Abs(x);
}

static HWY_INLINE lanes lanes_copy_sign(lanes magnitude, lanes sign)
{
    return hn::CopySign(magnitude, sign);
}

static HWY_INLINE lanes lanes_power_of_two(lanes z)
{
    return hn::BitCast(F32(), hn::Add(hn::ShiftLeft<23>(hn::BitCast(I32(), z)), hn::Set(I32(), 0x3f800000)));
}

static HWY_INLINE lanes lanes_fma(lanes a, lanes b, lanes c)
{
    return hn::MulAdd(a, b, c);
}

static HWY_INLINE lanes lanes_fnma(lanes a, lanes b, lanes c)
{
    return hn::NegMulAdd(a, b, c);
}

static HWY_INLINE lanes lanes_sign(lanes x)
{
    const auto nonzero = hn::Gt(hn::Abs(x), hn::Zero(F32()));
    return hn::IfThenElse(nonzero, hn::CopySign(hn::Set(F32(), 1.0f), x), x);
}

static HWY_INLINE lanes lanes_larger(lanes peak, lanes x)
{
    return hn::BitCast(F32(), hn::Max(hn::BitCast(I32(), peak), hn::BitCast(I32(), hn::Abs(x))));
}

static HWY_INLINE lanes lanes_one_if_zero(lanes x)
{
    return hn::IfThenElse(hn::Eq(x, hn::Zero(F32())), hn::Set(F32(), 1.0f), x);
}

static HWY_INLINE int lanes_any_nonfinite(lanes a, lanes b, lanes c, lanes d)
{
    const lanes top = lanes_larger(lanes_larger(hn::Abs(a), b), lanes_larger(hn::Abs(c), d));
    return !hn::AllTrue(I32(), hn::Lt(hn::BitCast(I32(), top), hn::Set(I32(), 0x7f800000)));
}

static HWY_INLINE float lanes_fold16(const lanes x[16 / LANES])
{
    float lane[16];
    for (size_t k = 0; k < 16 / LANES; k++)
        lanes_store(lane + k * LANES, x[k]);
    for (size_t half = 8; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

/* Constructors spelt out: those that the compiler makes at the end of the file lack the target's attributes, and GCC then
 * refuses to inline Arm's vector constructors into them. */
struct lanes_f64 {
    hn::Vec<F64> low, high;
    HWY_INLINE lanes_f64()
    {
    }
    HWY_INLINE lanes_f64(hn::Vec<F64> low_half, hn::Vec<F64> high_half) : low(low_half), high(high_half)
    {
    }
};

static HWY_INLINE lanes_f64 lanes_f64_zero()
{
    return {hn::Zero(F64()), hn::Zero(F64())};
}

static HWY_INLINE hn::Vec<F64> lanes_low_f64(lanes x)
{
    return hn::PromoteTo(F64(), hn::LowerHalf(HalfF32(), x));
}

static HWY_INLINE hn::Vec<F64> lanes_high_f64(lanes x)
{
    return hn::PromoteTo(F64(), hn::UpperHalf(HalfF32(), x));
}

static HWY_INLINE lanes_f64 lanes_f64_add(lanes_f64 sum, lanes x)
{
    return {hn::Add(sum.low, lanes_low_f64(x)), hn::Add(sum.high, lanes_high_f64(x))};
}

static HWY_INLINE lanes_f64 lanes_f64_add_square(lanes_f64 sum, lanes x)
{
    const auto low = lanes_low_f64(x), high = lanes_high_f64(x);
    return {hn::MulAdd(low, low, sum.low), hn::MulAdd(high, high, sum.high)};
}

static HWY_INLINE lanes_f64 lanes_f64_add_product(lanes_f64 sum, lanes x, lanes y)
{
    return {hn::MulAdd(lanes_low_f64(x), lanes_low_f64(y), sum.low),
            hn::MulAdd(lanes_high_f64(x), lanes_high_f64(y), sum.high)};
}

using U32 = hn::RebindToUnsigned<F32>;
using U64 = hn::RepartitionToWide<U32>;
using lanes_u64 = hn::Vec<U64>;

static HWY_INLINE lanes_u64 lanes_u64_set(uint64_t x)
{
    return hn::Set(U64(), x);
}

static HWY_INLINE lanes_u64 lanes_u64_load(const uint64_t *x)
{
    return hn::LoadU(U64(), x);
}

static HWY_INLINE lanes_u64 lanes_u64_add(lanes_u64 a, lanes_u64 b)
{
    return hn::Add(a, b);
}

static HWY_INLINE lanes_u64 lanes_u64_mul_low(lanes_u64 a, lanes_u64 b)
{
    return hn::MulEven(hn::BitCast(U32(), a), hn::BitCast(U32(), b));
}

static HWY_INLINE lanes_u64 lanes_u64_high_xor(lanes_u64 product, lanes_u64 a, lanes_u64 b)
{
    return hn::Xor(hn::Xor(hn::ShiftRight<32>(product), a), b);
}

static HWY_INLINE lanes_u64 lanes_u64_zip_low(lanes_u64 even, lanes_u64 odd)
{
    return hn::BitCast(U64(), hn::OddEven(hn::BitCast(U32(), hn::ShiftLeft<32>(odd)), hn::BitCast(U32(), even)));
}

/* Compared as signed: half words are not negative, and older x86 compares nothing else. */
static HWY_INLINE lanes lanes_keep_low16(lanes_u64 random, uint32_t limit, lanes x)
{
    const auto low = hn::And(hn::BitCast(I32(), random), hn::Set(I32(), 0xffff));
    return hn::IfThenElseZero(hn::RebindMask(F32(), hn::Lt(low, hn::Set(I32(), static_cast<int32_t>(limit)))), x);
}

static HWY_INLINE lanes lanes_keep_high16(lanes_u64 random, uint32_t limit, lanes x)
{
    const auto high = hn::BitCast(I32(), hn::ShiftRight<16>(hn::BitCast(U32(), random)));
    return hn::IfThenElseZero(hn::RebindMask(F32(), hn::Lt(high, hn::Set(I32(), static_cast<int32_t>(limit)))), x);
}

static HWY_INLINE void lanes_f64_store(double *to, lanes_f64 sum)
{
    hn::StoreU(sum.low, F64(), to);
    hn::StoreU(sum.high, F64(), to + LANES / 2);
}

static HWY_INLINE lanes lanes_load_f64(const double *x)
{
    const auto low = hn::DemoteTo(HalfF32(), hn::LoadU(F64(), x));
    const auto high = hn::DemoteTo(HalfF32(), hn::LoadU(F64(), x + LANES / 2));
    return hn::Combine(F32(), high, low);
}

static HWY_INLINE lanes lanes_load_i8(const int8_t *q)
{
    const hn::Rebind<int8_t, F32> bytes;
    return hn::ConvertTo(F32(), hn::PromoteTo(I32(), hn::LoadU(bytes, q)));
}

static HWY_INLINE void lanes_store_i8(int8_t *to, lanes x)
{
    const hn::Rebind<int8_t, F32> bytes;
    x = hn::IfThenElseZero(hn::Eq(x, x), x);
    x = hn::Max(hn::Min(x, hn::Set(F32(), 127.0f)), hn::Set(F32(), -127.0f));
    hn::StoreU(hn::DemoteTo(bytes, hn::NearestInt(x)), bytes, to);
}

static HWY_INLINE lanes lanes_relu(lanes x)
{
    return hn::IfThenElse(hn::Lt(x, hn::Zero(F32())), hn::Zero(F32()), x);
}

static HWY_INLINE lanes lanes_if_positive(lanes x, lanes y)
{
    return hn::IfThenElseZero(hn::Gt(x, hn::Zero(F32())), y);
}
