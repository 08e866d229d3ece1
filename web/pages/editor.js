/**
 * The editor of the playground: CodeMirror, which replaces a textarea once it is loaded. It is in a shadow
 * root, where its styles are constructed sheets, because the policy forbids style elements.
 */

/**
 * @typedef {object} Editor
 * @property {string} text
 * @property {() => void} focus
 */

/**
 * Returns the editor of a text area, and loads CodeMirror.
 * @param {any} area
 * @param {HTMLElement} label
 * @param {() => void} changed
 * @param {() => void} apply
 * @returns {Editor}
 */
export function editorOf(area, label, changed, apply) {
  /** @type {import('@codemirror/view').EditorView | undefined} */
  let view
  area.addEventListener('input', changed)
  area.addEventListener('keydown', (/** @type {KeyboardEvent} */ e) => {
    if (e.key !== 'Enter' || !(e.ctrlKey || e.metaKey)) return
    e.preventDefault()
    apply()
  })
  // If it cannot be loaded, the text area stays.
  import('/vendor/codemirror.js').then(replace).catch(() => {})
  const editor = {
    get text() {
      return view ? view.state.doc.toString() : area.value
    },
    set text(text) {
      if (view) view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } })
      else area.value = text
    },
    focus: () => (view ?? area).focus(),
  }
  return editor

  /** @param {typeof import('/vendor/codemirror.js')} codeMirror */
  function replace({ EditorView, EditorState, ...of }) {
    const host = document.createElement('div')
    const root = host.attachShadow({ mode: 'open' })
    const focused = document.activeElement === area
    const { selectionStart: anchor, selectionEnd: head } = area
    const help = document.getElementById(area.getAttribute('aria-describedby'))
    view = new EditorView({
      doc: area.value,
      selection: { anchor, head },
      root,
      parent: root,
      extensions: [
        of.lineNumbers(),
        of.history(),
        of.drawSelection(),
        of.indentOnInput(),
        of.bracketMatching(),
        of.highlightActiveLine(),
        of.javascriptLanguage,
        of.syntaxHighlighting(of.HighlightStyle.define(colorsOf(of.tags))),
        EditorView.theme(theme),
        EditorView.lineWrapping,
        EditorState.tabSize.of(2),
        EditorView.contentAttributes.of({
          'aria-label': label.textContent ?? '',
          'aria-description': help?.textContent ?? '',
        }),
        // Puts typed text into the document at once. Chromium would put it into the elements of the replaced
        // text, with style attributes, which the policy forbids.
        EditorView.domEventHandlers({
          beforeinput: (e, view) => {
            if (e.inputType !== 'insertText' || e.data === null || view.composing) return false
            e.preventDefault()
            const { from, to } = typedAt(view, /** @type {any} */ (root))
            view.dispatch({
              changes: { from, to, insert: e.data },
              selection: { anchor: from + e.data.length },
              userEvent: 'input.type',
              scrollIntoView: true,
            })
            return true
          },
        }),
        EditorView.updateListener.of(({ docChanged }) => docChanged && changed()),
        of.keymap.of([
          { key: 'Mod-Enter', run: () => (apply(), true) },
          ...of.defaultKeymap,
          ...of.historyKeymap,
        ]),
      ],
    })
    area.replaceWith(host)
    host.id = area.id
    // Like the text area.
    Object.defineProperty(host, 'value', {
      get: () => editor.text,
      set: (text) => (editor.text = text),
    })
    const name = document.createElement('span')
    name.className = 'label'
    name.append(label.textContent ?? '')
    label.replaceWith(name)
    if (focused) view.focus()
  }
}

/**
 * Returns the positions that the user types between. It asks for the browser's selection, since the editor
 * does not know one that was made just before.
 * @param {import('@codemirror/view').EditorView} view
 * @param {{ getSelection?: () => Selection }} root with the method of Chromium
 */
function typedAt(view, root) {
  const selection = root.getSelection?.()
  if (!selection?.rangeCount || !view.contentDOM.contains(selection.anchorNode)) {
    return view.state.selection.main
  }
  const { startContainer, startOffset, endContainer, endOffset } = selection.getRangeAt(0)
  return {
    from: view.posAtDOM(startContainer, startOffset),
    to: view.posAtDOM(endContainer, endOffset),
  }
}

// The colours of style.css reach into the shadow root.
const theme = {
  '&': { fontSize: '0.75rem', color: 'var(--ink)' },
  '&.cm-focused': { outline: '2px solid var(--accent)', outlineOffset: '-1px' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.6' },
  '.cm-content': { padding: '8px 0', caretColor: 'var(--ink)' },
  '.cm-gutters': { border: 'none', background: 'transparent', color: 'var(--faint)' },
  '.cm-activeLine': { background: 'color-mix(in srgb, var(--hover) 60%, transparent)' },
  '.cm-cursor': { borderLeftColor: 'var(--ink)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground':
    { background: 'var(--chosen)' },
  '&.cm-focused .cm-matchingBracket': { background: 'var(--chosen)' },
}

/** @param {typeof import('@lezer/highlight').tags} tags */
function colorsOf(tags) {
  const { keyword, string, special, number, bool, comment, function: of, variableName } = tags
  return [
    { tag: [keyword, tags.operatorKeyword], color: 'var(--violet)' },
    { tag: [string, special(string), tags.regexp], color: 'var(--good)' },
    { tag: [number, bool, tags.null], color: 'var(--wait)' },
    { tag: [of(variableName), of(tags.propertyName)], color: 'var(--blue)' },
    { tag: comment, color: 'var(--faint)', fontStyle: 'italic' },
  ]
}
