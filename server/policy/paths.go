package policy

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"reversehttp/schema"
	"reversehttp/server/problem"
)

const (
	mostPaths     = 64
	mostPathBytes = 256
)

func checkPaths(ask *schema.Policy, p *Policy) error {
	if ask.Paths == nil {
		return nil
	}
	if err := count("paths", *ask.Paths, mostPaths); err != nil {
		return err
	}
	for i, path := range *ask.Paths {
		if plain, ok := plainPath(path); len(path) > mostPathBytes || !ok || strings.ContainsAny(plain, "?#") {
			return fault(fmt.Sprintf("paths/%d", i), "A path begins with /, as in the claim's public URL, has at most %d bytes, and no empty segment, dot segment, query or fragment in it.", mostPathBytes)
		}
	}
	p.Paths = *ask.Paths
	return nil
}

// pathStep lets in paths that are listed, and those below them.
func pathStep(p *Policy) step {
	var allowed []string
	for _, path := range p.Paths {
		if plain, ok := plainPath(path); ok {
			allowed = append(allowed, plain)
		}
	}
	return func(a *asked) *problem.Problem {
		plain, ok := plainPath(a.path)
		if ok && slices.ContainsFunc(allowed, func(one string) bool { return below(plain, one) }) {
			return nil
		}
		return &problem.Problem{Code: schema.CodePathRefused}
	}
}

// below reports whether a path is another or below it. One that ends in a slash has only what is below.
func below(path, of string) bool {
	rest, ok := strings.CutPrefix(path, of)
	return ok && (rest == "" || strings.HasSuffix(of, "/") || rest[0] == '/')
}

// plainPath returns a path with its percent-encoding decoded, so that two paths that every server takes for the same
// are the same bytes. It reports false for a path that servers read in different ways, since a program might see
// another path than the one that was judged. Such a path has a percent sign that encodes nothing, or an encoded slash;
// or, decoded once or twice, it has a backslash, a control character, an empty segment other than the last, or a dot
// segment, with or without parameters (";").
func plainPath(path string) (plain string, ok bool) {
	if !strings.HasPrefix(path, "/") || !plainSegments(path) {
		return "", false
	}
	plain, err := url.PathUnescape(path)
	if err != nil || strings.Count(plain, "/") != strings.Count(path, "/") || !plainSegments(plain) {
		return "", false
	}
	again := unescaped(plain)
	return plain, strings.Count(again, "/") == strings.Count(path, "/") && plainSegments(again)
}

// unescaped decodes a path as servers do that leave a percent sign that encodes nothing as it is.
func unescaped(path string) string {
	parts := strings.Split(path, "%")
	for i, part := range parts[1:] {
		one, err := "", error(url.EscapeError(""))
		if len(part) >= 2 {
			one, err = url.PathUnescape("%" + part[:2])
		}
		if err != nil {
			parts[i+1] = "%" + part
		} else {
			parts[i+1] = one + part[2:]
		}
	}
	return strings.Join(parts, "")
}

// plainSegments reports whether a path has none of the segments and characters that servers read in different ways.
func plainSegments(path string) bool {
	if strings.Contains(path, `\`) || strings.ContainsFunc(path, control) {
		return false
	}
	segments := strings.Split(path[1:], "/")
	for i, segment := range segments {
		name, _, _ := strings.Cut(segment, ";")
		if name == "." || name == ".." || name == "" && (i < len(segments)-1 || segment != "") {
			return false
		}
	}
	return true
}
