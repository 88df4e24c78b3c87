// The YAML editor: CodeMirror 6 with the cluster's own schema. A chunk of its own, which loads when an editor opens.
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, startCompletion } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { HighlightStyle, bracketMatching, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { EditorState } from "@codemirror/state";
import { EditorView, drawSelection, highlightActiveLine, hoverTooltip, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { Schema } from "./schema.js";
import { outline, placeOf } from "./yaml-outline.js";

const theme = EditorView.theme({
  "&": { color: "var(--ink)", backgroundColor: "var(--panel)", fontSize: "12.5px", height: "100%" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "-1px" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.6", overflow: "auto" },
  ".cm-content": { caretColor: "var(--accent)", paddingBlock: "8px" },
  ".cm-cursor": { borderLeftColor: "var(--accent)", borderLeftWidth: "2px" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "color-mix(in srgb, var(--accent) 22%, transparent)",
  },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--ink) 4%, transparent)" },
  ".cm-gutters": { backgroundColor: "var(--panel)", color: "var(--ink-soft)", borderRight: "1px solid var(--line)" },
  ".cm-matchingBracket": { backgroundColor: "var(--accent-soft)", outline: "1px solid var(--accent)" },
  ".cm-tooltip": {
    backgroundColor: "var(--panel)", color: "var(--ink)", border: "1px solid var(--line-strong)", borderRadius: "10px",
    boxShadow: "var(--shade)", maxWidth: "min(440px, 90vw)",
  },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", fontSize: "12.5px", maxHeight: "15em" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--accent-soft)", color: "var(--accent)" },
  ".cm-completionDetail": { color: "var(--ink-soft)", fontStyle: "normal", marginLeft: "1em" },
  ".cm-completionIcon": { display: "none" },
  ".cm-completionMatchedText": { textDecoration: "none", fontWeight: "700" },
  ".cm-tooltip.cm-completionInfo, .field-docs": { padding: "8px 12px", fontSize: "12.5px", lineHeight: "1.5", whiteSpace: "pre-line" },
  ".field-docs strong": { fontFamily: "var(--mono)", fontSize: "12.5px" },
  ".field-docs em": { fontStyle: "normal", color: "var(--ink-soft)", marginLeft: "8px" },
  ".cm-diagnostic": { borderLeft: "4px solid var(--bad)", padding: "6px 10px", fontFamily: "var(--sans)", fontSize: "12.5px" },
  ".cm-diagnostic-warning": { borderLeftColor: "var(--write)" },
  ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--bad) 1px", textUnderlineOffset: "3px" },
  ".cm-lintRange-warning": { backgroundImage: "none", textDecoration: "underline wavy var(--write) 1px", textUnderlineOffset: "3px" },
  ".cm-gutter-lint": { width: "14px" },
  ".cm-lint-marker-error": { content: "none", width: "8px", height: "8px", marginTop: "6px", borderRadius: "50%", backgroundColor: "var(--bad)" },
  ".cm-lint-marker-warning": { content: "none", width: "8px", height: "8px", marginTop: "6px", borderRadius: "2px", backgroundColor: "var(--write)" },
});
const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--request)" },
  { tag: [tags.number, tags.bool, tags.null, tags.keyword], color: "var(--accent)" },
  { tag: [tags.string, tags.content], color: "var(--ink)" },
  { tag: [tags.comment], color: "var(--ink-soft)", fontStyle: "italic" },
  { tag: [tags.punctuation, tags.separator, tags.meta], color: "var(--ink-soft)" },
]);

/** apiVersion and kind of the document that these fields are of. */
const kindOf = (fields) => {
  const at = (name) => fields.find(({ keys }) => keys.length === 1 && keys[0] === name)?.value.replace(/^["']|["']$/g, "");
  return [at("apiVersion"), at("kind")];
};

class PlaygroundEditor {
  /**
   * @param {HTMLElement} element where to open it
   * @param {{text: string, label: string, onChange: (text: string) => void, ask?: (path: string) => Promise<string>}} options
   *   `ask` gives what the cluster answers to a GET; without it the text is any text, not YAML
   */
  constructor(element, { text, label, onChange, ask }) {
    this.schema = ask && new Schema(ask);
    const manifest = [
      indentOnInput(),
      yaml(),
      syntaxHighlighting(colours),
      autocompletion({ override: [(context) => this.complete(context)], icons: false }),
      hoverTooltip((view, at) => this.describe(view, at)),
    ];
    const state = EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(),
        lintGutter(),
        history(),
        drawSelection(),
        indentUnit.of("  "),
        bracketMatching(),
        closeBrackets(),
        highlightActiveLine(),
        ask ? manifest : [],
        theme,
        // Tab goes on to the next control, as everywhere on the page.
        keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...completionKeymap, ...lintKeymap]),
        EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0", spellcheck: "false", autocapitalize: "off" }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) onChange(update.state.doc.toString());
        }),
      ],
    });
    this.view = new EditorView({ state, parent: element });
    // For tests, which see no further than the page.
    element.widget = this;
  }

  /** What may be written here: fields, or the values of one. */
  async complete(context) {
    const line = context.state.doc.lineAt(context.pos);
    const before = line.text.slice(0, context.pos - line.from);
    const place = (column) => placeOf(context.state.sliceDoc(0, line.from) + before.slice(0, column), column);
    const value = /^(\s*(?:- )*)([\w./-]+):\s+(\S*)$/.exec(before);
    if (value) {
      const [, indent, name, written] = value;
      const { above, document } = place(indent.length);
      const whole = this.wholeDocument(context.state, context.pos) ?? document;
      const values = await this.schema.values(kindOf(whole), [...above, name]);
      if (!values.length) return null;
      return { from: context.pos - written.length, options: values.map((label) => ({ label })) };
    }
    const key = /^(\s*(?:- )*)([\w./-]*)$/.exec(before);
    if (!key || (!key[2] && !context.explicit && !/^\s+(?:- )*$/.test(before))) return null;
    const [, indent, written] = key;
    const { above, siblings } = place(indent.length);
    const document = this.wholeDocument(context.state, context.pos);
    const fields = await this.schema.fields(kindOf(document), above);
    const options = fields
      .filter(({ name }) => !siblings.includes(name))
      .map(({ name, type, required, description, nested }) => ({
        label: name,
        detail: type + (required ? " *" : ""),
        info: description || undefined,
        boost: required ? 50 : 0,
        apply: nested ? `${name}:\n${" ".repeat(indent.length)}${nested === "list" ? "- " : "  "}` : `${name}: `,
      }));
    return options.length ? { from: context.pos - written.length, options, validFor: /^[\w./-]*$/ } : null;
  }

  wholeDocument(state, at) {
    const ends = state.sliceDoc(0, at).split(/^---(?:\s|$)/m).length - 1;
    return outline(state.doc.toString())[ends] ?? [];
  }

  /** What a field is, when a pointer rests on it. */
  async describe(view, at) {
    const fields = this.wholeDocument(view.state, at);
    const field = fields.find(({ from, to }) => from <= at && at <= to);
    if (!field) return null;
    const found = await this.schema.field(kindOf(fields), field.keys);
    if (!found) return null;
    return {
      pos: field.from,
      end: field.to,
      above: true,
      create() {
        const dom = Object.assign(document.createElement("div"), { className: "field-docs" });
        const name = Object.assign(document.createElement("strong"), { textContent: field.keys.at(-1) });
        const type = Object.assign(document.createElement("em"), { textContent: found.type });
        dom.append(name, type, Object.assign(document.createElement("div"), { textContent: found.description }));
        return { dom };
      },
    };
  }

  /**
   * Marks what the cluster has against the text, each reason at the field that it names.
   * @param {string} message empty for nothing
   */
  setError(message) {
    const state = this.view.state;
    const fields = outline(state.doc.toString()).flat();
    const reasons = message ? reasonsOf(message) : [];
    const diagnostics = reasons.map((reason) => {
      const place = placeIn(reason, fields, state);
      return { ...place, severity: "error", message: reason };
    });
    this.view.dispatch(setDiagnostics(state, diagnostics));
  }

  text() {
    return this.view.state.doc.toString();
  }

  /** Writes another text, with the cursor at a place of it. */
  setText(text, at = 0) {
    this.view.dispatch({ changes: { from: 0, to: this.view.state.doc.length, insert: text }, selection: { anchor: at } });
  }

  /** Opens what may be written where the cursor is. */
  suggest() {
    startCompletion(this.view);
  }

  focus() {
    this.view.focus();
  }

  dispose() {
    this.view.destroy();
  }
}

/** What a Status' message has against an object, reason by reason. */
function reasonsOf(message) {
  const strict = message.split("strict decoding error: ")[1];
  if (strict) return strict.split(/, (?=unknown field |duplicate field )/);
  const invalid = /is invalid: ([\s\S]*)$/.exec(message)?.[1];
  if (invalid) return invalid.replace(/^\[([\s\S]*)\]$/, "$1").split(/, (?=[a-z][\w.[\]]*: [A-Z])/);
  return [message];
}

/** The range of the field that a reason names: `spec.containers[0].image`, or of `line 7`; the first line otherwise. */
function placeIn(reason, fields, state) {
  const line = /(?:\bline |第 )(\d+)/i.exec(reason);
  if (line) {
    const { from, to, text } = state.doc.line(Math.min(Math.max(Number(line[1]), 1), state.doc.lines));
    return { from: to - text.trimStart().length, to: Math.max(from + text.trimEnd().length, to - text.trimStart().length) };
  }
  // Go's decoder names a type first, and no item of a list.
  const decoded = /Go struct field \w+\.(\S+) of type /.exec(reason)?.[1];
  const named = decoded ? [decoded] : reason.match(/[a-zA-Z][\w-]*(?:\[[^\]]*\])*(?:\.[\w/-]+(?:\[[^\]]*\])*)+|(?<=field ")[\w-]+/g) ?? [];
  const isAt = (field, wanted) => [field.path, field.keys].some((path) => path.join(".") === wanted);
  for (const name of named) {
    const path = name.replace(/\[["']?([^\]"']*)["']?\]/g, ".$1").split(".");
    for (let length = path.length; length > 0; length--) {
      const wanted = path.slice(0, length).join(".");
      const field = fields.find((field) => isAt(field, wanted));
      if (field) return { from: field.from, to: field.to };
    }
  }
  const { from, to } = state.doc.line(1);
  return { from, to };
}

/** Opens an editor; what `terminal.js` calls when one is wanted. */
export const open = (element, options) => new PlaygroundEditor(element, options);
