import assert from 'node:assert/strict'
import { test } from 'node:test'
import { extensionOf } from './pages/extension.js'
import { indented } from './pages/xml.js'

test('XML has an element a line, and text stays beside its tags', () => {
  assert.equal(
    indented(
      '<?xml version="1.0"?><a><b>one</b><c x="1"/><!-- < --><d><e>2 &lt; 3</e></d><f></f></a>',
    ),
    `<?xml version="1.0"?>
<a>
  <b>one</b>
  <c x="1"/>
  <!-- < -->
  <d>
    <e>2 &lt; 3</e>
  </d>
  <f></f>
</a>`,
  )
  assert.equal(indented('<a><![CDATA[<b>]]></a>'), '<a><![CDATA[<b>]]></a>')
})

test('what is no XML comes out whole, and in time', () => {
  const bare = (text) => text.replace(/\s/g, '')
  const long = ['<'.repeat(60_000), '<!--'.repeat(15_000), '<a>'.repeat(20_000)]
  for (const text of ['', 'a < b', '</a></b>', '<a><b></a>', ...long]) {
    assert.equal(bare(indented(text)), bare(text))
  }
})

test('a file is named by its type, and by its coding where it has one', () => {
  const of = (type, coding) =>
    extensionOf({
      headers: [['Content-Type', type], ...(coding ? [['Content-Encoding', coding]] : [])],
    })
  assert.equal(of('application/vnd.api+json; charset=utf-8'), 'json')
  assert.equal(of('application/atom+xml'), 'xml')
  assert.equal(of('IMAGE/PNG'), 'png')
  assert.equal(of('text/x-what'), 'txt')
  assert.equal(of('constructor'), 'bin')
  assert.equal(of('application/json', 'gzip'), 'gz')
  assert.equal(extensionOf({ headers: [] }), 'bin')
})
