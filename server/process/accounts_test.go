package process

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAWrongFileOfAccountsIsAnErrorAtTheStart(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"typo": `{"accounts":[{"name":"ann","label":["ann"]}]}`, "secret": `{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--accounts=" + dir + "/missing"}, "--accounts=" + dir + "/missing: "},
		{[]string{"--accounts=" + dir + "/typo"}, "label"},
		{[]string{"--jwks=" + dir + "/secret", "--jwt-issuer=i", "--jwt-audience=a"}, "public key"},
		{[]string{"--jwks=" + dir + "/secret", "--jwt-issuer=i"}, "all three"},
		{[]string{"--jwt-audience=a"}, "all three"},
	} {
		o, err := parse(append(c.args, "--listen=127.0.0.1:0"))
		if err == nil {
			err = run(o, nil, &bytes.Buffer{}, io.Discard)
		}
		if err == nil || !strings.Contains(err.Error(), c.says) || !errors.As(err, &wrong{}) {
			t.Errorf("%v: %v, want an error of the flags that says %q", c.args, err, c.says)
		}
	}
}
