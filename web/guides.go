package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"strconv"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

//go:embed guides/*.md
var guideFiles embed.FS

//go:embed guide.html
var guideHTML string

var guidePage = template.Must(template.New("guide").Parse(guideHTML))

// ownURL is how guides name the gateway. Links of pages have a path instead.
const ownURL = "http://localhost:8080"

// guides returns a handler for each path of the guides: the index at /guides, the guide NAME.md
// at /guides/NAME, each file unchanged at /guides/FILE, and the list for agents at /llms.txt, which
// ends with the skill.
func guides() (map[string]http.Handler, error) {
	files, err := fs.Glob(guideFiles, "guides/*.md")
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	handlers := map[string]http.Handler{}
	list := "# ReverseHttp\n\n> A gateway that lends public URLs to programs that can only make HTTP requests.\n\n## Guides\n\n"
	for _, f := range files {
		source, err := fs.ReadFile(guideFiles, f)
		if err != nil {
			return nil, fmt.Errorf("web: %w", err)
		}
		g, err := renderGuide(source)
		if err != nil {
			return nil, fmt.Errorf("web: %s: %w", f, err)
		}
		g.Markdown = "/" + f
		var page bytes.Buffer
		if err := guidePage.Execute(&page, g); err != nil {
			return nil, fmt.Errorf("web: %s: %w", f, err)
		}
		at := pathOfGuide(path.Base(f))
		html := newAsset(".html", page.Bytes())
		html.fields["Content-Security-Policy"] = policyOf(at, page.Bytes(), nil)
		html.fields["Cross-Origin-Opener-Policy"] = "same-origin"
		handlers[at], handlers[g.Markdown] = html, newAsset(".md", source)
		list += fmt.Sprintf("- [%s](%s): %s\n", g.Title, g.Markdown, g.Summary)
	}
	skill, line, err := skillForAgents()
	if err != nil {
		return nil, err
	}
	maps.Copy(handlers, skill)
	handlers["/llms.txt"] = newAsset(".txt", []byte(list+"\n## Skill\n\n"+line))
	for _, h := range handlers {
		h.(*asset).fields["Cross-Origin-Resource-Policy"] = "same-origin"
	}
	return handlers, nil
}

// pathOfGuide returns the path of the page of a file.
func pathOfGuide(file string) string {
	name := strings.TrimSuffix(file, ".md")
	if name == "README" {
		return "/guides"
	}
	return "/guides/" + name
}

// guide is a rendered guide.
type guide struct {
	Title    string // its first heading
	Summary  string // its first paragraph
	Body     template.HTML
	Markdown string // the path of its source
}

var markdown = goldmark.New(
	// Alignment would be an inline style, which the policy forbids.
	goldmark.WithExtensions(extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignNone))),
	goldmark.WithParserOptions(parser.WithAutoHeadingID()),
	goldmark.WithRendererOptions(renderer.WithNodeRenderers(util.Prioritized(codeBlocks{}, 100))),
)

// renderGuide renders Markdown, and leaves out HTML in it.
func renderGuide(source []byte) (g guide, err error) {
	root := markdown.Parser().Parse(text.NewReader(source), parser.WithContext(parser.NewContext(parser.WithIDs(headingIDs{}))))
	var away []ast.Node
	err = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			if g.Title == "" {
				g.Title = plainText(n, source)
			}
		case *ast.Paragraph:
			if g.Summary == "" {
				g.Summary = plainText(n, source)
			}
		case *ast.Link:
			if to, ok := addressInPage(string(n.Destination)); ok {
				n.Destination = []byte(to)
			} else {
				away = append(away, n)
			}
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		return g, err
	}
	for _, link := range away { // The gateway does not serve the file, so only the text remains.
		for c := link.FirstChild(); c != nil; c = link.FirstChild() {
			link.Parent().InsertBefore(link.Parent(), link, c)
		}
		link.Parent().RemoveChild(link.Parent(), link)
	}
	var b bytes.Buffer
	if err := markdown.Renderer().Render(&b, source, root); err != nil {
		return g, err
	}
	g.Body = template.HTML(b.String())
	return g, nil
}

// addressInPage converts an address in Markdown for a page. It reports false for other files of
// the repository.
func addressInPage(to string) (string, bool) {
	if own, ok := strings.CutPrefix(to, ownURL); ok {
		return own, true
	}
	file, fragment, found := strings.Cut(to, "#")
	if found {
		fragment = "#" + fragment
	}
	switch {
	case file == "":
		return fragment, true
	case strings.HasSuffix(file, ".md") && !strings.Contains(file, "/"):
		return pathOfGuide(file) + fragment, true
	}
	return "", false
}

// plainText returns the text of a node without its marks, in one line.
func plainText(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, ok := n.(*ast.Text); ok && entering {
			b.Write(t.Segment.Value(source))
			if t.SoftLineBreak() {
				b.WriteByte(' ')
			}
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

// headingIDs makes ids of headings as code hosts do: in lower case, with hyphens for spaces, and
// without punctuation other than hyphens and underscores. A repeated id ends in a number.
type headingIDs map[string]bool

// Generate returns the id of a heading.
func (ids headingIDs) Generate(value []byte, _ ast.NodeKind) []byte {
	id := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(string(value)))
	unique := id
	for i := 1; ids[unique]; i++ {
		unique = id + "-" + strconv.Itoa(i)
	}
	ids[unique] = true
	return []byte(unique)
}

// Put notes an id.
func (ids headingIDs) Put(value []byte) { ids[string(value)] = true }

// labels names blocks of code by their language.
var labels = map[string]string{"sh": "Commands", "text": "Output", "js": "JavaScript", "go": "Go program"}

// codeBlocks renders code so that it can be scrolled by keyboard.
type codeBlocks struct{}

// RegisterFuncs implements [renderer.NodeRenderer].
func (codeBlocks) RegisterFuncs(r renderer.NodeRendererFuncRegisterer) {
	r.Register(ast.KindFencedCodeBlock, func(w util.BufWriter, source []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkSkipChildren, nil
		}
		label := labels[string(n.(*ast.FencedCodeBlock).Language(source))]
		if label == "" {
			label = "Example"
		}
		_, _ = w.WriteString(`<pre role="group" tabindex="0" aria-label="` + label + `"><code>`)
		for i := range n.Lines().Len() {
			line := n.Lines().At(i)
			_, _ = w.Write(util.EscapeHTML(line.Value(source)))
		}
		_, err := w.WriteString("</code></pre>\n")
		return ast.WalkSkipChildren, err
	})
}
