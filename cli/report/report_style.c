/* SPDX-License-Identifier: Apache-2.0
 * Two optimizers have a colour, Adam and VeLO, the rest is grey; shapes, dashes and hatches say the same without it.
 * Text reaches a contrast of 4.5 to 1 on its ground in both schemes. No < and & here: the page is XML too. */
#include "cli/report/report_style.h"

static const char *const rules[] = {
    ":root{color-scheme:light dark;--page:#fff;--soft:#f5f6f8;--text:#1a1e24;--quiet:#59626d;--rule:#dde1e6;"
    "--grid:#e6e9ed;--link:#0a5aa6;--adam:#0f66b0;--velo:#b9470c;--other:#8a949f;--cache:#0f66b01f;--warn:#8a5a00;"
    "--p0:#a9c8e6;--p1:#4f8fc7;--p2:#e8c15c;--p3:#9a7cc0;--p4:#c9622f}",
    "@media (prefers-color-scheme:dark){:root{--page:#14171b;--soft:#1c2026;--text:#e5e8eb;--quiet:#a2abb5;"
    "--rule:#333a42;--grid:#272d34;--link:#7cb9f2;--adam:#6cb1f2;--velo:#ff9a62;--other:#7d8893;--cache:#6cb1f22b;"
    "--warn:#e3b35c;--p0:#5f86ab;--p1:#3f7fbb;--p2:#cfa63c;--p3:#8a68b8;--p4:#d9723c}}",
    "*{box-sizing:border-box}",
    "html{-webkit-text-size-adjust:100%;text-size-adjust:100%}",
    "body{margin:0;background:var(--page);color:var(--text);"
    "font:16px/1.55 system-ui,-apple-system,\"Segoe UI\",Roboto,\"Noto Sans\",\"Liberation Sans\",\"DejaVu "
    "Sans\",sans-serif}",
    "main,header,footer{max-width:1120px;margin:0 auto;padding:0 28px}",
    "header{padding-top:44px}",
    "header p.kicker{margin:0;color:var(--quiet);font-size:14px;overflow-wrap:anywhere}",
    "h1{font-size:30px;line-height:1.25;margin:6px 0 0;font-weight:650;letter-spacing:-.01em;overflow-wrap:anywhere}",
    "h2{font-size:21px;line-height:1.3;margin:60px 0 6px;padding-top:18px;border-top:1px solid var(--rule);"
    "font-weight:650}",
    "h3{font-size:15px;line-height:1.4;margin:0 0 6px;font-weight:650;overflow-wrap:anywhere}",
    "h3 span{font-weight:400;color:var(--quiet)}",
    "p,ul{max-width:74ch;margin:8px 0}",
    "p.answer{font-size:21px;line-height:1.5;max-width:60ch;margin:22px 0 18px}",
    "p.answer b{font-weight:650;white-space:nowrap}",
    "p.answer b.velo{color:var(--velo)}p.answer b.adam{color:var(--adam)}",
    "p.note,figcaption,ul.notes{color:var(--quiet);font-size:14px}",
    "ul.notes{padding-left:18px;overflow-wrap:anywhere}ul.notes li{margin:3px 0}ul.notes b{color:var(--warn)}",
    "a{color:var(--link)}a.csv{font-size:14px;white-space:nowrap}",
    "nav{margin:18px 0 0;font-size:14px;display:flex;flex-wrap:wrap;gap:4px 18px}",
    "figure{margin:0;min-width:0}figure svg{display:block;width:100%;max-width:600px;height:auto}",
    ".grid2{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,440px),1fr));gap:34px 48px;"
    "margin:24px 0 10px}",
    ".scroll{overflow-x:auto;margin:16px 0 8px;-webkit-overflow-scrolling:touch}",
    ".scroll:focus-visible{outline:2px solid var(--link);outline-offset:2px}",
    "table{border-collapse:collapse;font-size:14px;line-height:1.4;font-variant-numeric:tabular-nums}",
    "th,td{padding:5px 0 5px 20px;text-align:right;vertical-align:top;white-space:nowrap;font-weight:400}",
    "th:first-child,td:first-child{padding-left:0;padding-right:4px}",
    "thead th{color:var(--quiet);vertical-align:bottom;border-bottom:1px solid var(--rule)}",
    "tbody tr+tr>*{border-top:1px solid var(--grid)}",
    "th[scope=row],th[scope=rowgroup],thead th:first-child,td.text,th.text{text-align:left}",
    "th[scope=row]{position:sticky;left:0;background:var(--page);min-width:7.2em;max-width:220px;"
    "overflow-wrap:anywhere;white-space:normal}",
    "th[scope=rowgroup]{font-weight:650;padding-top:18px;white-space:normal;overflow-wrap:anywhere}",
    "th[scope=rowgroup] span{font-weight:400;color:var(--quiet)}",
    "tr.velo td.key,tr.velo th[scope=row]{color:var(--velo);font-weight:600}",
    "tr.adam td.key,tr.adam th[scope=row]{color:var(--adam);font-weight:600}",
    "td small{color:var(--quiet);font-size:12.5px;font-weight:400;padding-left:5px}",
    ".wide table{font-size:13px}.wide th,.wide td{padding-left:13px}.wide th:first-child{padding-left:0}"
    ".wide td small{font-size:11.5px}",
    "dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:5px 22px;align-content:start;"
    "font-size:14px;margin:8px 0;max-width:100%}",
    "dt{color:var(--quiet)}dd{margin:0;overflow-wrap:anywhere}",
    "code,pre{font:13px/1.5 ui-monospace,SFMono-Regular,Consolas,\"DejaVu Sans Mono\",monospace}",
    "pre{background:var(--soft);padding:12px 14px;border-radius:6px;overflow-x:auto;margin:10px 0;max-width:100%}",
    "pre.wrap{white-space:pre-wrap;overflow-wrap:anywhere}",
    "details{margin:10px 0}summary{cursor:pointer;color:var(--link);font-size:14px}",
    "footer{padding-top:40px;padding-bottom:56px;color:var(--quiet);font-size:14px}",
    "i.key{display:inline-block;width:12px;height:12px;margin:0 3px 0 8px;vertical-align:-1px}",
    "i.key.l{border-left:2px solid var(--text);width:4px}",
    "i.key.w{height:0;border-top:1.5px solid var(--text);vertical-align:4px}",
    /* Inside the plots */
    "svg text{font-size:12px;fill:var(--text)}svg .tick{font-size:11.5px;fill:var(--quiet)}"
    "svg .head{font-size:11.5px;fill:var(--quiet)}",
    "svg .end{text-anchor:end}svg .mid{text-anchor:middle}svg .value{font-variant-numeric:tabular-nums}",
    "svg text.velo{fill:var(--velo);font-weight:600}svg text.adam{fill:var(--adam);font-weight:600}",
    "svg .grid{stroke:var(--grid);fill:none}",
    "svg .bar.other{fill:var(--other)}svg .bar.adam{fill:var(--adam)}svg .bar.velo{fill:var(--velo)}",
    "svg .whisker{stroke:var(--text);stroke-width:1.3;fill:none}",
    "svg .limit{stroke:var(--text);stroke-width:2;fill:none}svg .halo{stroke:var(--page);stroke-width:4.4;fill:none}",
    "svg .mark{stroke:var(--page);stroke-width:1}svg .mark.other{fill:var(--quiet)}svg .mark.adam{fill:var(--adam)}"
    "svg .mark.velo{fill:var(--velo)}",
    "svg .line{fill:none;stroke:var(--other);stroke-width:1.8;stroke-dasharray:2 3}"
    "svg .line.adam{stroke:var(--adam);stroke-dasharray:6 3}svg .line.velo{stroke:var(--velo);stroke-dasharray:none}",
    "svg .cache{fill:var(--cache)}",
    "svg .roof{fill:none;stroke:var(--text);stroke-width:1.5}svg .roof.s1{stroke-dasharray:7 3}"
    "svg .roof.s2{stroke-dasharray:2 2.5}svg .roof.s3{stroke-dasharray:8 3 2 3}svg .roof.peak{stroke-width:2}",
    "svg .leader{stroke:var(--other);stroke-width:.8;fill:none}",
    "svg .phase{stroke:var(--page);stroke-width:.6}svg .p0{fill:var(--p0)}svg .p1{fill:var(--p1)}"
    "svg .p2{fill:var(--p2)}svg .p3{fill:var(--p3)}svg .p4{fill:var(--p4)}",
    "svg .hatch{stroke:var(--page);stroke-width:2;opacity:.55}svg .dot{fill:var(--page);opacity:.8}",
    "@media (max-width:640px){main,header,footer{padding-left:16px;padding-right:16px}header{padding-top:26px}"
    "h1{font-size:24px}h2{font-size:19px;margin-top:44px}p.answer{font-size:18px}th,td{padding-left:14px}"
    "dl{grid-template-columns:minmax(0,1fr);gap:0}dd{margin-bottom:7px}th[scope=row]{max-width:128px}}",
    "@media print{:root{--page:#fff;--soft:#f5f6f8;--text:#000;--quiet:#444;--rule:#bbb;--grid:#ddd;--link:#000;"
    "--adam:#0f66b0;--velo:#b9470c;--other:#8a949f}body{font-size:11pt}nav,a.csv{display:none}"
    "main,header,footer{max-width:none;padding-left:0;padding-right:0}h2{break-after:avoid;margin-top:26px}"
    "figure,tr,pre{break-inside:avoid}.scroll{overflow:visible}.grid2{grid-template-columns:1fr 1fr;gap:18px 24px}"
    "table{font-size:7.5pt}td small{font-size:6.5pt;padding-left:3px}.wide table{font-size:6.2pt}"
    ".wide td small{font-size:5.4pt;padding-left:2px}th,td,.wide th,.wide td{padding-left:7px}"
    "th[scope=row]{position:static;min-width:0}*{print-color-adjust:exact}}",
};

void report_style(FILE *out)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        fprintf(out, "%s\n", rules[i]);
}
