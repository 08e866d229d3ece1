package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// configured gives the argument for a --config file.
func configured(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gateway.json")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return "--config=" + path
}

func TestAFileIsRefusedByNameAndMember(t *testing.T) {
	for _, c := range []struct{ content, says string }{
		{`{"lisen":":1"}`, `there is no flag "lisen"`}, {`{"max_claims":1}`, `there is no flag "max_claims"`},
		{`{"config":"x"}`, `"config"`}, {`{"help":true}`, `"help"`},
		{`{"max-claims":"x"}`, "--max-claims"}, {`{"wait":[]}`, "--wait"}, {`{"batch":0}`, "--batch=0"}, {`{"log-level":"loud"}`, "--log-level"},
		{`{"wait":"5s","wait":"6s"}`, `"wait"`}, {`{} {}`, "not a JSON object"}, {`null`, "not a JSON object"}, {`[]`, "not a JSON object"}, {`{"listen"`, "not a JSON object"}, {``, "not a JSON object"},
	} {
		if _, err := parse([]string{configured(t, c.content)}); err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "gateway.json: ") {
			t.Errorf("%s: %v, want an error that names the file and says %q", c.content, err, c.says)
		}
	}
}

func TestAFileIsBlamedOnlyForWhatCounts(t *testing.T) {
	file := configured(t, `{"batch":3,"fields":0,"wait":"0s"}`)
	t.Setenv("REVERSEHTTP_FIELDS", "-1")
	t.Setenv("REVERSEHTTP_WAIT", "6s")
	for _, c := range []struct{ arg, says string }{{"--batch=0", "--batch=0"}, {"--batch=1", "--fields=-1"}, {"--fields=1", ""}} {
		_, err := parse([]string{file, c.arg})
		if c.says == "" {
			if err != nil {
				t.Errorf("%s: %v, want what weighs more than the file", c.arg, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "gateway.json") {
			t.Errorf("%s: %v, want an error that says %q and does not name the file", c.arg, err, c.says)
		}
	}
}
