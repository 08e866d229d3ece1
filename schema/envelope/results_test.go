package envelope

import (
	"encoding/json"
	"reflect"
	"testing"

	"reversehttp/schema"
)

// DecodeResults returns the same as encoding/json.
func TestResultsAreReadAsByEncodingJSON(t *testing.T) {
	for _, content := range []string{
		`{"results":[]}`, `{}`, ` {"more":[{}],"results":[{"id":"a","status":"accepted","future":{"x":1}}]} `,
		`{"results":[{"id":"a","status":"invalid","pointer":"/body","detail":"caf\u00e9 \"x\""},{"id":"b","status":"late","pointer":null}]}`,
		`{"type":"results","results":[{"id":"a","status":"accepted","seq":3,"exchangeWindow":524288},{"id":"b","status":"dup\u006cicate","seq":null}]}`,
		`{"results":[{"id":null,"pointer":""}]}`, `{"results":[],"results":[{"id":"c"}]}`,
		``, `[]`, `"x"`, `null x`, `{"results":{}}`, `{"results":["x"]}`, `{"results":[{"id":5}]}`, `{"results":[{"id":"a"}`, `{"results":[]}}`,
		`<h1>Welcome</h1>`,
	} {
		var want schema.Results
		wrong := json.Unmarshal([]byte(content), &want)
		got, err := DecodeResults([]byte(content))
		if (err == nil) != (wrong == nil) || err == nil && len(got)+len(want.Results) > 0 && !reflect.DeepEqual(got, want.Results) {
			t.Errorf("DecodeResults(%s) = %+v, %v; want %+v, %v", content, got, err, want.Results, wrong)
		}
	}
}
