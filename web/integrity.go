package web

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// An import map has the hash of each module, so that a policy can allow modules by hash. Imports
// have no attribute for that.
// https://html.spec.whatwg.org/multipage/webappapis.html#import-map-processing-model

var (
	document = regexp.MustCompile(`/\*\*(?s:.*?)\*/`)
	imported = regexp.MustCompile(`(?:from |import |import\()["'](\.?/[^"']+\.js)["']`)
	loaded   = regexp.MustCompile(`(<script type="module" src|<link rel="modulepreload" href)="([^"]+)"`)
)

// withIntegrity returns a page with the hash of each module that it loads or imports later, in an
// import map and in attributes of elements. It also returns the hashes.
func withIntegrity(html []byte, modules map[string][]byte) (page []byte, of []string, err error) {
	hashes := map[string]string{}
	var missing error
	var add func(at string)
	add = func(at string) {
		source, ok := modules[at]
		if !ok {
			missing = fmt.Errorf("web: %s is imported, and is no module", at)
		}
		if !ok || hashes[at] != "" {
			return
		}
		hashes[at] = hashOf(source)
		for _, m := range imported.FindAllSubmatch(document.ReplaceAll(source, nil), -1) {
			add(path.Join("/", string(m[1])))
		}
	}
	for _, m := range loaded.FindAllSubmatch(html, -1) {
		add(string(m[2]))
	}
	if missing != nil {
		return nil, nil, missing
	}
	found, err := json.Marshal(map[string]any{"integrity": hashes})
	if err != nil {
		return nil, nil, fmt.Errorf("web: %w", err)
	}
	text := loaded.ReplaceAllStringFunc(string(html), func(element string) string {
		at := loaded.FindStringSubmatch(element)[2]
		return element + ` integrity="` + hashes[at] + `"`
	})
	importMap := `<script type="importmap">` + string(found) + "</script>\n"
	at := strings.Index(text, "<link")
	for _, module := range slices.Sorted(maps.Keys(hashes)) {
		of = append(of, hashes[module])
	}
	return []byte(text[:at] + importMap + text[at:]), of, nil
}

func hashOf(script []byte) string {
	sum := sha256.Sum256(script)
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}
