package web

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The bounds are those of the format (agentskills.io/specification).
func TestTheSkillIsServedWhereAgentsLook(t *testing.T) {
	handlers := served(t)
	w, content := get(t, handlers["/.well-known/agent-skills/index.json"], "GET")
	if got := w.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("the index is %s", got)
	}
	var index struct {
		Skills []struct{ Name, Type, Description, URL, Digest string }
	}
	if err := json.Unmarshal([]byte(content), &index); err != nil || len(index.Skills) != 1 {
		t.Fatalf("%v in %s", err, content)
	}
	s := index.Skills[0]
	if !regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`).MatchString(s.Name) || len(s.Name) > 64 || s.Description == "" || len(s.Description) > 1024 || s.Type != "skill-md" {
		t.Errorf("the entry is %+v", s)
	}
	source, err := os.ReadFile("skills/" + s.Name + "/SKILL.md") // the folder has the name of the skill
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("sha256:%x", sha256.Sum256(source)); s.Digest != want {
		t.Errorf("digest %s, want %s", s.Digest, want)
	}
	for _, at := range []string{s.URL, "/SKILL.md"} {
		w, got := get(t, handlers[at], "GET")
		if got != string(source) || !strings.HasPrefix(w.Header.Get("Content-Type"), "text/markdown") {
			t.Errorf("%s: %s, %d bytes, want the %d of the file", at, w.Header.Get("Content-Type"), len(got), len(source))
		}
	}
	if lines := strings.Count(string(source), "\n"); lines >= 500 {
		t.Errorf("it has %d lines, and agents read all of them", lines)
	}
	_, list := get(t, handlers["/llms.txt"], "GET")
	if line := fmt.Sprintf("\n- [%s](/SKILL.md): %s\n", s.Name, s.Description); !strings.Contains(list, line) {
		t.Errorf("no %q in %s", line, list)
	}
}

func TestASkillNeedsANameAndADescription(t *testing.T) {
	for _, source := range []string{"", "name: a\ndescription: b\n---\n", "---\nname: a\ndescription: b\n", "---\nname: a\n---\n", "---\ndescription: b\n---\n"} {
		if name, description, err := frontMatter(source); err == nil {
			t.Errorf("%q: %q, %q, want an error", source, name, description)
		}
	}
}
