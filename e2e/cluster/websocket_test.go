package cluster

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// message is one of a WebSocket.
type message struct {
	kind    websocket.MessageType
	content string
}

func TestWebSocketsPassThroughEveryNode(t *testing.T) {
	t.Parallel()
	c := start(t, "--acknowledge", "10m", "--no-poller", "10m")
	for _, by := range transports {
		ended := make(chan error, 1)
		label := "ws-" + string(by)
		servePlaced(t, c, label, by, func(w http.ResponseWriter, r *http.Request) {
			conn, err := websocket.Accept(w, r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.CloseNow()
			conn.SetReadLimit(-1)
			for {
				kind, content, err := conn.Read(r.Context())
				switch {
				case err != nil:
					ended <- err
					return
				case string(content) == "close":
					_ = conn.Close(4002, "as you wish")
					return
				}
				if err := conn.Write(r.Context(), kind, content); err != nil {
					ended <- err
					return
				}
			}
		})
		for _, at := range c.All {
			t.Run(fmt.Sprint(by, " at ", at.Name), func(t *testing.T) {
				for _, close := range []websocket.StatusCode{0, 1000, 4001} {
					conn := dialEcho(t, c, at, label)
					echoes(t, conn)
					if close == 0 { // the handler does
						if err := conn.Write(t.Context(), websocket.MessageText, []byte("close")); err != nil {
							t.Fatal(err)
						}
						_, _, err := conn.Read(t.Context())
						if got := (websocket.CloseError{Code: 4002, Reason: "as you wish"}); !strings.Contains(fmt.Sprint(err), got.Error()) {
							t.Errorf("the visitor reads %v, want %v", err, got)
						}
						continue
					}
					if err := conn.Close(close, "bye"); err != nil {
						t.Errorf("close with %d: %v", close, err)
					}
					if err := <-ended; websocket.CloseStatus(err) != close || !strings.Contains(err.Error(), "bye") {
						t.Errorf("the handler reads %v, want %d", err, close)
					}
				}
				conn := dialEcho(t, c, at, label)
				_ = conn.CloseNow()
				if err := <-ended; err == nil || websocket.CloseStatus(err) != -1 {
					t.Errorf("the handler of a visitor who left reads %v, want an end without a code", err)
				}
			})
		}
	}
}

// dialEcho opens a WebSocket of a label at a node.
func dialEcho(t *testing.T, c *Nodes, at *Node, label string) *websocket.Conn {
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), c.URLOf(label), &websocket.DialOptions{HTTPClient: dialing(at.Address)})
	if err != nil {
		t.Fatalf("%v\n%s", err, at.Log())
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(-1)
	return conn
}

// echoes sends messages while it reads them back.
func echoes(t *testing.T, conn *websocket.Conn) {
	t.Helper()
	messages := []message{
		{websocket.MessageText, ""},
		{websocket.MessageText, "héllo ✓"},
		{websocket.MessageBinary, "\x00\xff\x80"},
		{websocket.MessageBinary, strings.Repeat("\x00\xff0123456789abc\n", 4<<20/16)},
		{websocket.MessageText, strings.Repeat("0123456789abcde\n", 1<<20/16)},
	}
	for i := range 200 {
		messages = append(messages, message{websocket.MessageText, fmt.Sprint("message ", i)})
	}
	ctx, cancel := context.WithCancel(t.Context())
	sent := make(chan error, 1)
	go func() {
		for _, m := range messages {
			if err := conn.Write(ctx, m.kind, []byte(m.content)); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	defer func() {
		cancel()
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}()
	for i, m := range messages {
		kind, content, err := conn.Read(ctx)
		if err != nil {
			t.Errorf("message %d: %v", i, err)
			return
		}
		if kind != m.kind || !bytes.Equal(content, []byte(m.content)) {
			t.Errorf("message %d is %v of %d bytes, want %v of %d, as they were sent", i, kind, len(content), m.kind, len(m.content))
		}
	}
}
