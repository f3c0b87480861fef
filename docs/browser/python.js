// Python in a page: Pyodide in a worker, with numpy_rnn unpacked from numpy_rnn.js.
"use strict";

// A test serves Pyodide itself and sets pyodideURL.
const PYODIDE = window.pyodideURL || "https://cdn.jsdelivr.net/pyodide/v314.0.3/full/";
const HERE = document.currentScript.src.replace(/[^/]*$/, "");

/** The code of the worker. It first gets {url, archive}, then calls {name, args}. */
function work() {
  let pages;
  const call = {
    async start({ url, archive }) {
      const { loadPyodide } = await import(`${url}pyodide.mjs`);
      const python = await loadPyodide({ indexURL: url });
      await python.loadPackage("numpy");
      const bytes = Uint8Array.from(atob(archive), (letter) => letter.charCodeAt(0));
      python.unpackArchive(bytes, "zip", { extractDir: "/home/pyodide" });
      pages = python.pyimport("pages");
    },
    run: ({ name, args, shows }) =>
      pages[name](...args, ...(shows ? [(text) => postMessage({ shown: text })] : [])),
  };
  onmessage = async ({ data }) => {
    try {
      postMessage({ done: (await call[data.what](data)) ?? "" });
    } catch (error) {
      postMessage({ failed: String(error.message ?? error).trim().split("\n").pop() });
    }
  };
}

/** Load a script once. */
function load(file) {
  return new Promise((done, fail) => {
    const script = document.createElement("script");
    Object.assign(script, { src: HERE + file, onload: done });
    script.onerror = () => fail(new Error(`${file} is missing`));
    document.head.append(script);
  });
}

/** Python in a worker, so that the page stays alive and a loop without end can be stopped. */
class Python {
  /** Call a function of pages.py. show(text) gets what it shows, and after some seconds it is stopped. */
  async call(name, args, { show, seconds = Infinity } = {}) {
    if (!this.worker) await this.start();
    const timer = seconds < Infinity && setTimeout(() => this.stop("timeout"), 1000 * seconds);
    try {
      return await this.send({ what: "run", name, args, shows: !!show }, show);
    } finally {
      clearTimeout(timer);
    }
  }

  async start() {
    if (!window.NUMPY_RNN) await load("numpy_rnn.js");
    // Not a blob: its worker could not be a module on a page that was opened from a disk.
    const code = encodeURIComponent(`(${work})()`);
    this.worker = new Worker(`data:text/javascript,${code}`, { type: "module" });
    try {
      await this.send({ what: "start", url: PYODIDE, archive: window.NUMPY_RNN });
    } catch (error) {
      this.stop();
      throw new Error(`Python could not be loaded from ${PYODIDE} (${error.message})`);
    }
  }

  send(message, show) {
    return new Promise((done, fail) => {
      this.fail = fail;
      this.worker.onerror = () => fail(new Error("the worker did not start"));
      this.worker.onmessage = ({ data }) => {
        if ("shown" in data) show(data.shown);
        else if ("done" in data) done(data.done);
        else fail(new Error(data.failed));
      };
      this.worker.postMessage(message);
    });
  }

  stop(reason = "stopped") {
    this.worker?.terminate();
    this.worker = null;
    this.fail?.(new Error(reason));
  }
}
