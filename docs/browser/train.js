// The page where the notebook's network trains and its attribution matrix changes.
"use strict";

{
  const $ = (id) => document.getElementById(id);
  const python = new Python();
  const COLOURS = "440154 472d7b 3b528b 2c728e 21918c 28ae80 5ec962 addc30 fde725".split(" ");
  const LOWEST = -8; // powers of ten that the colours show
  const HIGHEST = 1;
  let history = [];
  let sentence = "";

  const colour = (power) => {
    const share = Math.min(1, Math.max(0, (power - LOWEST) / (HIGHEST - LOWEST)));
    const place = share * (COLOURS.length - 1);
    const i = Math.min(COLOURS.length - 2, Math.floor(place));
    return [0, 2, 4].map((k) => {
      const [a, b] = [COLOURS[i], COLOURS[i + 1]].map((c) => parseInt(c.slice(k, k + 2), 16));
      return a + (b - a) * (place - i);
    });
  };

  const draw = ({ epoch, loss, matrix, written }) => {
    const size = matrix.length;
    const canvas = $("matrix");
    Object.assign(canvas, { width: size, height: size });
    const image = new ImageData(size, size);
    matrix.flat().forEach((power, i) => {
      if (power > -99) image.data.set([...colour(power), 255], 4 * i); // else it is zero
    });
    canvas.getContext("2d").putImageData(image, 0, 0);
    const back = Math.min(10, size - 1);
    const left = 10 ** matrix[size - 1][size - 1 - back];
    const facts = `epoch ${epoch}, loss ${loss.toPrecision(3)}. Of the last loss's gradient,`;
    $("facts").textContent = `${facts} ${left.toPrecision(2)} is left ${back} steps back.`;
    const letters = [...written].map((letter, i) => {
      const right = letter === sentence[i];
      return Object.assign(document.createElement("span"), {
        textContent: letter === " " ? "␣" : letter,
        className: right ? "right" : "wrong",
      });
    });
    $("written").replaceChildren(...letters);
  };

  $("epoch").oninput = () => draw(history[Number($("epoch").value)]);
  $("stop").onclick = () => python.stop();
  $("train").onclick = async () => {
    const seed = Number($("seed").value);
    sentence = `${$("sentence").value}1`; // 1 is the end token
    history = [];
    Object.assign($("epoch"), { max: 0, value: 0, disabled: true });
    $("train").disabled = true;
    $("stop").disabled = false;
    $("facts").textContent = python.worker ? "Training ..." : "Loading Python, the first time only ...";
    const show = (text) => {
      const follow = Number($("epoch").value) >= history.length - 1;
      history.push(JSON.parse(text));
      Object.assign($("epoch"), { max: history.length - 1, disabled: false });
      if (follow) {
        $("epoch").value = history.length - 1;
        draw(history.at(-1));
      }
    };
    try {
      await python.call("train", [$("sentence").value, seed], { show });
    } catch (error) {
      const note = document.createElement("span");
      note.textContent = ` ${error.message}`;
      if (!history.length) $("facts").replaceChildren();
      $("facts").append(note);
    }
    $("train").disabled = false;
    $("stop").disabled = true;
  };
}
