package web

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

//go:embed skills/reversehttp/SKILL.md
var skillFile []byte

// skillsAt is where agents look for the skills of a site (Agent Skills Discovery 0.2.0).
const skillsAt = "/.well-known/agent-skills/"

// skillForAgents returns a handler for each path of the skill that teaches agents to use a gateway:
// the file at /SKILL.md and below skillsAt, and the index there. line is its entry in /llms.txt.
func skillForAgents() (handlers map[string]http.Handler, line string, err error) {
	name, description, err := frontMatter(string(skillFile))
	if err != nil {
		return nil, "", fmt.Errorf("web: SKILL.md: %w", err)
	}
	at := skillsAt + name + "/SKILL.md"
	digest := sha256.Sum256(skillFile)
	index, err := json.MarshalIndent(map[string]any{
		"$schema": "https://schemas.agentskills.io/discovery/0.2.0/schema.json",
		"skills": []map[string]string{{
			"name": name, "type": "skill-md", "description": description, "url": at, "digest": "sha256:" + hex.EncodeToString(digest[:]),
		}},
	}, "", "  ")
	if err != nil {
		return nil, "", fmt.Errorf("web: SKILL.md: %w", err)
	}
	file := newAsset(".md", skillFile)
	handlers = map[string]http.Handler{"/SKILL.md": file, at: file, skillsAt + "index.json": newAsset(".json", index)}
	return handlers, fmt.Sprintf("- [%s](/SKILL.md): %s\n", name, description), nil
}

// frontMatter returns the name and the description that a skill begins with, each in a line.
func frontMatter(source string) (name, description string, err error) {
	rest, begun := strings.CutPrefix(source, "---\n")
	head, _, ended := strings.Cut(rest, "\n---\n")
	for line := range strings.Lines(head) {
		switch member, value, _ := strings.Cut(strings.TrimSpace(line), ": "); member {
		case "name":
			name = value
		case "description":
			description = value
		}
	}
	if !begun || !ended || name == "" || description == "" {
		return "", "", errors.New("it does not begin with a name and a description")
	}
	return name, description, nil
}
