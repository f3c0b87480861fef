// The page where a reader writes a backward pass and has it checked.
"use strict";

{
  const $ = (id) => document.getElementById(id);
  const python = new Python();
  const starts = JSON.parse($("starts").textContent);
  const answers = { ...starts };
  const code = $("code");
  const which = $("which");

  const row = (name, cells) => {
    const line = document.createElement("tr");
    line.append(Object.assign(document.createElement("th"), { textContent: name }));
    for (const right of cells) {
      const cell = document.createElement("td");
      cell.className = right ? "right" : "wrong";
      cell.textContent = right ? "✓ right" : "✗ wrong";
      line.append(cell);
    }
    return line;
  };

  const show = ({ kind = "", text = "", steps = [], whole = [] }) => {
    $("verdict").textContent = text;
    $("verdict").dataset.kind = kind;
    $("steps").replaceChildren();
    if (steps.length) {
      const head = row("", []);
      steps[0][1].forEach((_, t) => {
        head.append(Object.assign(document.createElement("th"), { textContent: `t = ${t}` }));
      });
      $("steps").append(head, ...steps.map(([name, right]) => row(name, right)));
    }
    $("whole").replaceChildren(...whole.map(([name, right]) => row(name, [right])));
  };

  which.onchange = () => {
    code.value = answers[which.value];
    show({});
  };
  code.oninput = () => {
    answers[which.value] = code.value;
  };
  code.onkeydown = (event) => {
    if (event.key !== "Tab" || event.shiftKey) return; // Shift+Tab leaves the editor
    event.preventDefault();
    code.setRangeText("    ", code.selectionStart, code.selectionEnd, "end");
    code.oninput();
  };
  $("again").onclick = () => {
    answers[which.value] = starts[which.value];
    which.onchange();
  };
  $("check").onclick = async () => {
    $("check").disabled = true;
    show({ text: python.worker ? "Checking ..." : "Loading Python, the first time only ..." });
    try {
      show(JSON.parse(await python.call("check", [Number(which.value), code.value], { seconds: 20 })));
    } catch (error) {
      const late = error.message === "timeout";
      const text = late ? "The code was stopped after 20 s. Does a loop never end?" : error.message;
      show({ kind: "error", text });
    }
    $("check").disabled = false;
  };
}
