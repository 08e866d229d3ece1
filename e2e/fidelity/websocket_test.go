package fidelity

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/mccutchen/go-httpbin/v2/httpbin"
)

// said is a message of a WebSocket, or its close.
type said struct {
	kind    websocket.MessageType
	content string
	closed  websocket.StatusCode // -1 for a message
}

// talk opens a WebSocket on a way, sends messages, and returns the reply to each.
func talk(t *testing.T, w way, path string, messages []said) (answer *http.Response, got []said) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, answer, err := websocket.Dial(ctx, strings.TrimSuffix(w.url(), "/")+path, &websocket.DialOptions{
		HTTPClient: w.client(t, 1), Subprotocols: []string{"chat"}, CompressionMode: websocket.CompressionContextTakeover,
	})
	if err != nil {
		return answer, nil
	}
	defer conn.CloseNow()
	conn.SetReadLimit(-1)
	for _, m := range messages {
		if err := conn.Write(ctx, m.kind, []byte(m.content)); err != nil {
			break
		}
		kind, content, err := conn.Read(ctx)
		got = append(got, said{kind, string(content), websocket.CloseStatus(err)})
		if err != nil {
			if closed := (websocket.CloseError{}); !errors.As(err, &closed) {
				t.Errorf("%s: read: %v, want a message or a close", w.name, err)
			}
			return answer, got
		}
	}
	_ = conn.Close(websocket.StatusNormalClosure, "bye")
	return answer, got
}

func TestTheWebSocketOfHTTPBinEchoes(t *testing.T) {
	direct, through := twice(t, httpbin.New())
	text, binary := websocket.MessageText, websocket.MessageBinary
	for name, c := range map[string]struct {
		path     string
		messages []said
		last     websocket.StatusCode
	}{
		"messages":   {"/websocket/echo", []said{{text, "hello", -1}, {text, "", -1}, {binary, "\x00\xff", -1}, {text, strings.Repeat("é", 700), -1}}, -1},
		"large":      {"/websocket/echo?max_fragment_size=2000000&max_message_size=2000000", []said{{binary, string(bytes.Repeat([]byte{7}, 1<<20)), -1}}, -1},
		"too large":  {"/websocket/echo?max_fragment_size=10&max_message_size=10", []said{{text, "eleven bytes", -1}}, websocket.StatusMessageTooBig},
		"no UTF-8":   {"/websocket/echo", []said{{text, "\xff", -1}}, websocket.StatusInvalidFramePayloadData},
		"bad bounds": {"/websocket/echo?max_message_size=no", nil, -1},
	} {
		t.Run(name, func(t *testing.T) {
			wanted, want := talk(t, direct, c.path, c.messages)
			answered, got := talk(t, through, c.path, c.messages)
			if answered == nil || wanted == nil || answered.StatusCode != wanted.StatusCode {
				t.Fatalf("the answer is %+v, want %+v", answered, wanted)
			}
			if len(got) != len(want) {
				t.Fatalf("%d messages came back, want %d", len(got), len(want))
			}
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("message %d = %.60v, want %.60v", i, got[i], want[i])
				}
			}
			if n := len(want); n > 0 && want[n-1].closed != c.last {
				t.Errorf("without a gateway the last reply is a close with %d, want %d", want[n-1].closed, c.last)
			}
		})
	}
}
