"""The one style sheet of all panels: JupyterLab's own colours, so that both themes fit."""

CSS = """
.vital { --ink: var(--jp-ui-font-color1, #212121); --muted: var(--jp-ui-font-color2, #616161);
  --page: var(--jp-layout-color1, #fff); --soft: var(--jp-layout-color2, #f3f4f6);
  --line: var(--jp-border-color2, #e0e0e0); --strong: var(--jp-border-color1, #bdbdbd);
  --accent: #0068a5; --on-accent: #fff; --yes: #00745a; --no: #b34700; --frame: #eef0f2;
  box-sizing: border-box; width: 100%; max-width: 1240px; margin: 4px 0; color: var(--ink);
  background: var(--page); border: 1px solid var(--line); border-radius: 8px; outline: none;
  font: 13px/1.5 var(--jp-ui-font-family, system-ui, sans-serif); container-type: inline-size; }
body[data-jp-theme-light="false"] .vital, body[data-theme="dark"] .vital {
  --accent: #62b8ec; --on-accent: #10202b; --yes: #3ecba0; --no: #ff9a5c; --frame: #0c0c0c; }
.vital:focus-visible { border-color: var(--accent); box-shadow: 0 0 0 1px var(--accent); }
.vital * { box-sizing: border-box; }
.vital .head { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 10px;
  padding: 8px 14px; border-bottom: 1px solid var(--line); min-height: 46px; }
.vital h3 { margin: 0; font-size: 15px; font-weight: 600; line-height: 1.4; }
.vital .grow { flex: 1 1 auto; } .vital .head > .row:last-child { margin-left: auto; }
.vital .body { padding: 14px; }
.vital .muted { color: var(--muted); } .vital .small { font-size: 12px; }
.vital .number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.vital .text { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; }
.vital h4 { margin: 0 0 4px; font-size: 11px; font-weight: 600; line-height: 1.4;
  letter-spacing: .06em; text-transform: uppercase; color: var(--muted); }
.vital section + section, .vital .picture + section, .vital form + section { margin-top: 14px; }
.vital ul { margin: 0; padding-left: 18px; } .vital li + li { margin-top: 4px; }
.vital dl { display: grid; grid-template-columns: max-content 1fr; gap: 3px 14px; margin: 0; }
.vital dt { color: var(--muted); font-weight: 400; white-space: nowrap; }
.vital dd { margin: 0; overflow-wrap: anywhere; }
.vital button, .vital input[type=number], .vital input[type=text] { font: inherit;
  color: var(--ink); background: var(--page); border: 1px solid var(--strong);
  border-radius: 5px; padding: 3px 10px; min-height: 29px; }
.vital input[type=number] { width: 64px; padding: 3px 4px 3px 8px; }
.vital button { cursor: pointer; white-space: nowrap; }
.vital button:hover:not(:disabled) { border-color: var(--accent); background: var(--soft); }
.vital button:focus-visible, .vital input:focus-visible, .vital summary:focus-visible {
  outline: 2px solid var(--accent); outline-offset: 1px; }
.vital button:disabled { opacity: .45; cursor: default; }
.vital button.chip { border-radius: 15px; padding: 2px 11px; min-height: 27px; font-size: 12px; }
.vital button.main, .vital button[aria-pressed=true] { background: var(--accent);
  border-color: var(--accent); color: var(--on-accent); }
.vital button.main:hover:not(:disabled) { background: var(--accent); filter: brightness(1.08); }
.vital kbd { font: 600 11px/1 var(--jp-code-font-family, monospace); color: var(--muted);
  border: 1px solid var(--strong); border-radius: 3px; padding: 1px 5px; margin-right: 6px;
  background: var(--soft); }
.vital .tag { display: inline-block; font-size: 11px; line-height: 1.5; padding: 0 8px;
  border: 1px solid var(--line); border-radius: 10px; background: var(--soft);
  color: var(--muted); margin: 2px 4px 0 0; }
.vital .tag.warn { color: var(--no); border-color: currentColor; background: none; }
.vital .picture { display: flex; align-items: center; justify-content: center; overflow: hidden;
  background: var(--frame); border: 1px solid var(--line); border-radius: 6px; }
.vital .picture img { display: block; width: 100%; height: 100%; object-fit: contain; }
.vital .picture span { color: var(--muted); font-size: 12px; padding: 8px; text-align: center; }
.vital .split { display: grid; gap: 18px; grid-template-columns: minmax(260px, 38%) 1fr; }
.vital .two { display: grid; gap: 12px; grid-template-columns: 1fr 1fr; }
.vital .box { border: 1px solid var(--line); border-radius: 6px; padding: 10px 12px; }
.vital .bar { height: 7px; border-radius: 4px; background: var(--soft); overflow: hidden;
  box-shadow: inset 0 0 0 1px var(--line); min-width: 40px; }
.vital .bar i { display: block; height: 100%; background: var(--accent); border-radius: 4px; }
.vital table { border-collapse: collapse; width: 100%; font-size: 12px; }
.vital th, .vital td { text-align: left; padding: 4px 12px 4px 0; vertical-align: middle;
  border-bottom: 1px solid var(--line); }
.vital th { font-weight: 600; color: var(--muted); } .vital tr > * { white-space: nowrap; }
.vital summary { cursor: pointer; color: var(--muted); }
.vital .row { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; }
.vital .yes { color: var(--yes); } .vital .no { color: var(--no); }
.vital .foot { margin-top: 12px; padding-top: 10px; border-top: 1px solid var(--line);
  min-height: 32px; }
.vital .instruction { font-size: 15px; margin-bottom: 12px; }
.vital .response { display: flex; flex-direction: column; gap: 8px; font-size: 14px; }
.vital .response .text { flex: 1 1 auto; }
.vital .choices { display: grid; grid-template-columns: repeat(4, 1fr); gap: 8px;
  margin: 12px 0 8px; }
.vital .tick.yes[aria-pressed=true] { background: var(--yes); border-color: var(--yes); }
.vital .tick.no[aria-pressed=true] { background: var(--no); border-color: var(--no); }
.vital .end { text-align: center; padding: 40px 0; }
.vital .end p { margin: 4px; font-size: 15px; } .vital .end p.yes { font-size: 34px; }
.vital .prompt { max-height: 780px; overflow-y: auto; }
.vital .parts > * + * { margin-top: 8px; }
.vital .message { border-left: 3px solid var(--strong); }
.vital .message.user { border-left-color: var(--accent); }
.vital .message.assistant { border-left-color: var(--yes); }
.vital .work { border: 0; } .vital .work .bar { flex: 1 1 100%; }
.vital .work .done i { background: var(--yes); }
.vital .work .early i { background: var(--no); }
.vital .about { display: grid; grid-template-columns: 260px 1fr; gap: 18px; margin-bottom: 14px; }
.vital .wide { overflow-x: auto; } .vital .rounds { display: grid; gap: 8px 10px; }
.vital .rounds .text + .text { margin-top: 6px; }
.vital .rounds .one { border-left: 3px solid var(--line); padding-left: 9px; }
.vital .rounds .box > div { margin-top: 5px; }
.vital .disagreement { display: grid; grid-template-columns: 25% 30% 1fr; gap: 18px; }
.vital .list { display: flex; flex-direction: column; max-height: 520px; overflow-y: auto; }
.vital button.item { display: flex; gap: 10px; border-color: transparent; text-align: left;
  border-bottom-color: var(--line); border-radius: 0; background: none; padding: 5px 8px; }
.vital button.item[aria-pressed=true] { background: var(--soft); color: var(--ink);
  border-color: transparent; box-shadow: inset 3px 0 0 var(--accent); }
.vital .clip { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.vital .measures { display: grid; grid-template-columns: max-content 1fr max-content;
  gap: 4px 12px; align-items: center; }
.vital .share { flex: 0 1 300px; accent-color: var(--accent); }
.vital .scores { grid-template-columns: 1fr minmax(320px, 38%); }
.vital .histogram { position: relative; height: 225px; border-bottom: 1px solid var(--strong); }
.vital .histogram svg { width: 100%; height: 100%; display: block; }
.vital .veil { fill: var(--page); opacity: .68; }
.vital .cut { position: absolute; top: 0; bottom: 0; border-left: 2px solid var(--ink); }
.vital .cut span { position: absolute; left: 6px; white-space: nowrap; font-size: 12px; }
.vital .cut span.before { left: auto; right: 8px; }
.vital .dot { display: inline-block; width: 9px; height: 9px; border-radius: 50%;
  margin-right: 7px; }
.vital .borderline { margin-top: 16px; } .vital .borderline section { margin: 0; }
.vital .case { display: grid; grid-template-columns: 110px 1fr; gap: 12px; margin-bottom: 8px; }
.vital .strip { display: flex; flex-wrap: wrap; gap: 6px; max-height: 210px; overflow-y: auto; }
.vital .strip button { padding: 2px; width: 70px; min-height: 0; }
.vital .answers { display: grid; gap: 8px; margin-top: 6px; overflow-x: auto; }
@container (max-width: 720px) { .vital .split, .vital .two { grid-template-columns: 1fr; } }
"""
