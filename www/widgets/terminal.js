// The terminal: xterm.js under the few calls that crates/page/src/terminal.rs binds.
import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";

const encoder = new TextEncoder();

class PlaygroundTerminal {
  /**
   * @param {HTMLElement} element where to open it
   * @param {(bytes: Uint8Array) => void} onInput what the learner types
   * @param {(columns: number, rows: number) => void} onResize the size it now has
   */
  constructor(element, onInput, onResize) {
    this.xterm = new Terminal({
      allowProposedApi: false,
      cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
      cursorStyle: "bar",
      cursorWidth: 2,
      fontFamily: '"JetBrains Mono Variable", ui-monospace, "Cascadia Mono", Menlo, monospace',
      fontSize: 13,
      lineHeight: 1.25,
      minimumContrastRatio: 4.5,
      scrollback: 5000,
    });
    this.fitting = new FitAddon();
    this.xterm.loadAddon(this.fitting);
    this.xterm.onData((text) => onInput(encoder.encode(text)));
    this.xterm.onBinary((text) => onInput(Uint8Array.from(text, (c) => c.charCodeAt(0))));
    this.xterm.onResize(({ cols, rows }) => onResize(cols, rows));
    // Tab belongs to the shell's completion; Shift+Escape is the keyboard's way out.
    this.xterm.attachCustomKeyEventHandler((event) => {
      if (event.key === "Escape" && event.shiftKey) {
        if (event.type === "keydown") this.leave();
        return false;
      }
      const key = event.ctrlKey && !event.altKey ? event.key.toLowerCase() : "";
      // Control C is the shell's, unless something is marked.
      if (key === "c" && (event.shiftKey || this.xterm.hasSelection())) {
        if (event.type === "keydown") this.copy();
        event.preventDefault();
        return false;
      }
      // The browser pastes.
      return key !== "v";
    });
    this.xterm.registerLinkProvider({ provideLinks: (row, found) => found(this.links(row)) });
    this.xterm.open(element);
    // For tests, which see no further than the page.
    element.widget = this;
    this.observer = new ResizeObserver(() => this.fit());
    this.observer.observe(element);
    // A letter of the type is larger than one of those that stand in for it until it is there.
    this.fonts = () => requestAnimationFrame(() => this.fit());
    document.fonts.addEventListener("loadingdone", this.fonts);
    document.fonts.ready.then(this.fonts);
  }

  fit() {
    if (this.xterm.element?.offsetWidth) this.fitting.fit();
  }

  write(bytes) {
    this.xterm.write(bytes);
  }

  /** Sends a text as if it were typed. */
  type(text) {
    this.xterm.input(text, true);
  }

  focus() {
    this.xterm.focus();
  }

  /** Marks the next place of a text, upwards from the one that is marked. Whether there is any. */
  find(text) {
    const buffer = this.xterm.buffer.active;
    const places = [];
    for (let row = 0; text && row < buffer.length; row++) {
      const line = buffer.getLine(row).translateToString().toLowerCase();
      for (let column = -1; (column = line.indexOf(text.toLowerCase(), column + 1)) >= 0; ) places.push([row, column]);
    }
    const at = this.xterm.getSelectionPosition()?.start ?? { y: buffer.length, x: 0 };
    const above = places.filter(([row, column]) => row < at.y || (row === at.y && column < at.x));
    const [row, column] = above.at(-1) ?? places.at(-1) ?? [];
    if (row === undefined) {
      this.xterm.clearSelection();
      return false;
    }
    this.xterm.select(column, row, text.length);
    this.xterm.scrollToLine(Math.max(0, row - Math.floor(this.xterm.rows / 2)));
    return true;
  }

  /** Puts what is marked into the clipboard. */
  copy() {
    navigator.clipboard?.writeText(this.xterm.getSelection()).catch(() => {});
    this.xterm.clearSelection();
  }

  /** The addresses in a row. Those of this cluster are asked by curl: the browser does not reach them. */
  links(row) {
    const text = this.xterm.buffer.active.getLine(row - 1)?.translateToString(true) ?? "";
    return [...text.matchAll(/https?:\/\/[^\s"'<>|]*[^\s"'<>|.,:;)\]]/g)].map(({ 0: address, index }) => ({
      text: address,
      range: { start: { x: index + 1, y: row }, end: { x: index + address.length, y: row } },
      activate: () => {
        if (/^https?:\/\/(localhost|[\d.]+|[^./]+)(:\d+)?(\/|$)/.test(address)) this.type(`curl '${address}'\r`);
        else window.open(address, "_blank", "noopener,noreferrer");
      },
    }));
  }

  leave() {
    document.querySelector("[data-after-terminal]")?.focus();
  }

  /** @param {string} json xterm's ITheme */
  setTheme(json) {
    this.xterm.options.theme = JSON.parse(json);
  }

  /** Columns and rows, for the connection's first size. */
  size() {
    return Uint32Array.of(this.xterm.cols, this.xterm.rows);
  }

  /** What the screen and the scrollback show, for tests. */
  text() {
    const buffer = this.xterm.buffer.active;
    const lines = [];
    for (let i = 0; i < buffer.length; i++) lines.push(buffer.getLine(i)?.translateToString(true) ?? "");
    return lines.join("\n").trimEnd();
  }

  dispose() {
    this.observer.disconnect();
    document.fonts.removeEventListener("loadingdone", this.fonts);
    this.xterm.dispose();
  }
}

globalThis.PlaygroundTerminal = PlaygroundTerminal;

// What a visit has used is there without a network, and all of it in an installed page. Only a built page has the script.
// It comes once the cluster and the page have begun: it asks for their files again.
const START_MS = 3000;
const keep = () => navigator.serviceWorker?.register("./offline.js").catch(() => {});
addEventListener("load", () => setTimeout(keep, START_MS));
addEventListener("appinstalled", async () => (await navigator.serviceWorker?.ready)?.active.postMessage("keep"));
