package account

import (
	"testing"
	"time"
)

// Any file of accounts is refused or has accounts that can be used.
func FuzzParse(f *testing.F) {
	key := NewKey()
	for _, s := range []string{
		`{}`, `[]`, `{"accounts":null}`, `{"accounts":[{"name":"ann","keys":["` + Hash(key) + `"],"labels":["ann","ann-*","*"],"longestLease":31536000}],"strangers":false}`,
		`{"accounts":[{"name":"ann"},{"name":"ann"}]}`, `{"accounts":[{"name":"","labels":["A_"]}]}`, `{"accounts":[{"name":"a","quotas":{"bytesPerDay":-1}}]}`,
		`{"accounts":[{"name":"a","policy":{"basic":[{"user":"a","password":"b"}]}}]}`, `{"unknown":1}`, "\xff", `{"accounts":[{"name":"a","longestLease":1e99}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		a, err := Parse(content)
		if (a == nil) != (err != nil) {
			t.Fatalf("accounts %v and the error %v", a, err)
		}
		if err != nil {
			return
		}
		a.ByKey(key)
		a.Names("ann")
		a.Strangers()
		if lease := a.Named("ann").Lease(); lease < 0 || lease > 366*24*time.Hour {
			t.Errorf("a lease of %s", lease)
		}
	})
}

// Any file of an issuer's keys is refused or has keys that only verify.
func FuzzParseKeys(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"keys":[]}`, `{"keys":[{"kty":"oct","kid":"a","k":"c2VjcmV0"}]}`, `{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"AA","y":"AA"}]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","use":"sig","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`, "\xff",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		keys, err := parseKeys(content)
		if err != nil {
			return
		}
		for _, k := range keys.Keys {
			if !k.IsPublic() || !k.Valid() {
				t.Errorf("a key of %q that is not public, or not valid", k.KeyID)
			}
		}
	})
}
