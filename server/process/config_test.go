package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// configured returns the argument for a --config file.
func configured(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gateway.json")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return "--config=" + path
}

func TestTheErrorForAFileNamesItAndItsMember(t *testing.T) {
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

func TestAFileIsNotBlamedForOptionsThatAnotherSourceSets(t *testing.T) {
	file := configured(t, `{"batch":3,"fields":0,"wait":"0s"}`)
	t.Setenv("REVERSEHTTP_FIELDS", "-1")
	t.Setenv("REVERSEHTTP_WAIT", "6s")
	for _, c := range []struct{ arg, says string }{{"--batch=0", "--batch=0"}, {"--batch=1", "--fields=-1"}, {"--fields=1", ""}} {
		_, err := parse([]string{file, c.arg})
		if c.says == "" {
			if err != nil {
				t.Errorf("%s: %v, want the value that takes precedence over the file", c.arg, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "gateway.json") {
			t.Errorf("%s: %v, want an error that says %q and does not name the file", c.arg, err, c.says)
		}
	}
}

func TestTheSampleFileIsValidAndExplainsEachLine(t *testing.T) {
	const path = "../deploy/gateway.jsonc" // its port comes from a socket unit
	o, err := parse([]string{"--config", path})
	if err != nil {
		t.Fatal(err)
	}
	if o.Listen != defaultListen || !o.Public || o.PublicURL != "https://{label}.example.com/" || o.Data != "/var/lib/reversehttp" {
		t.Errorf("options = %+v, want those of the file", o)
	}
	explained, members := false, 0
	for line := range strings.Lines(lines(t, path)) {
		switch text := strings.TrimSpace(line); {
		case strings.HasPrefix(text, "//"):
			explained = true
		case strings.HasPrefix(text, `"`):
			if members++; !explained {
				t.Errorf("no comment explains %s", text)
			}
			explained = false
		case text == "":
			explained = false
		}
	}
	if members < 10 {
		t.Errorf("%d members, want 10 at least", members)
	}
}

func TestACommentInAFileTakesAWholeLine(t *testing.T) {
	if _, err := parse([]string{configured(t, "// of a gateway\n{\n\t// half of it\n  \"batch\": 3\n}\n//")}); err != nil {
		t.Error(err)
	}
	if _, err := parse([]string{configured(t, `{"batch":3 // half of it
}`)}); err == nil {
		t.Error("a comment behind a member is accepted, want an error")
	}
	o, err := parse([]string{configured(t, "{\"resolver\":\n\"192.0.2.1:53\", \"security-contact\":\"https://ca.example/\"}")})
	if err != nil || o.SecurityContact != "https://ca.example/" {
		t.Errorf("security-contact = %v, %v, want the URL whole", o, err)
	}
}
