package visit

import (
	"net/http"
	"testing"

	"reversehttp/server/publicurl"
)

func TestTheMarkIsReadFromCookies(t *testing.T) {
	const plain, secure = "http://{label}.example.com/", "https://{label}.example.com/"
	for _, c := range []struct {
		template             string
		cookies              []string
		known, asked, others bool
	}{
		{plain, nil, false, false, false},
		{plain, []string{"a=1"}, false, false, true},
		{plain, []string{"reversehttp-owner=x"}, true, false, false},
		{plain, []string{"reversehttp-owner=y"}, false, false, false},
		{plain, []string{"reversehttp-owner="}, false, false, false},
		{plain, []string{"reversehttp-owner"}, false, false, false},
		{plain, []string{"reversehttp-owner=cleared.x; reversehttp-visited=1"}, false, true, false},
		{plain, []string{"reversehttp-owner=y; reversehttp-owner=x"}, true, false, false},
		{plain, []string{"a=1; reversehttp-owner=x;  b=2"}, true, false, true},
		{plain, []string{"a=1", "reversehttp-owner=x"}, true, false, true},
		{plain, []string{"my-reversehttp-owner=x"}, false, false, true},
		{plain, []string{"__Host-Http-reversehttp-owner=x"}, false, false, false},
		{secure, []string{"a=1; __Host-Http-reversehttp-owner=x; b"}, true, false, true},
		{secure, []string{"reversehttp-owner=x"}, false, false, false},
	} {
		public, err := publicurl.Parse(c.template)
		if err != nil {
			t.Fatal(err)
		}
		v, r := &Visits{Public: public}, &http.Request{Header: http.Header{"Cookie": c.cookies}}
		if known, asked, others := v.readMark(r, "x"); known != c.known || asked != c.asked || others != c.others {
			t.Errorf("%s %q: known %v, asked %v, others %v; want %v, %v, %v", c.template, c.cookies, known, asked, others, c.known, c.asked, c.others)
		}
	}
}
