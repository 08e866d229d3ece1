package family

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

func TestAClaimThatADoorServesHasItsPolicy(t *testing.T) {
	var asked atomic.Int32
	program := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if asked.Add(1); r.Header.Get("Authorization") != "" {
			t.Error("the program has the Authorization that was checked")
		}
		_, _ = io.WriteString(rw, "hello")
	})
	eachWay(t, program, func(t *testing.T, w *town, _ string) {
		asked.Store(0)
		const policy = `{"policy":{"methods":["POST"],"bearer":[{"name":"ci","token":"a-token-of-ci-16"}]}}`
		_, resp := w.send(fmt.Sprintf("PATCH /claims/demo HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer t0\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(policy), policy))
		if resp.StatusCode != 200 {
			t.Fatalf("PATCH = %d", resp.StatusCode)
		}
		w.visit("GET", "demo", "/", "").got(http.StatusMethodNotAllowed, "*")
		w.visit("POST", "demo", "/", "x").got(http.StatusUnauthorized, "*")
		req, err := http.NewRequest("POST", w.Public().Base("demo"), strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer a-token-of-ci-16")
		resp, err = w.visitor().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if content, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 || string(content) != "hello" || asked.Load() != 1 {
			t.Errorf("with the token = %d %q %v, and the program was asked %d times", resp.StatusCode, content, err, asked.Load())
		}
	})
}
