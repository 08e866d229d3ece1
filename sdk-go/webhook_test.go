package reversehttp_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema/vectors"
	reversehttp "reversehttp/sdk-go"
)

func TestWebhooksAreReceivedAsEveryCaseSays(t *testing.T) {
	for _, c := range vectors.Hooks() {
		t.Run(c.Name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { receiveAll(t, c) }) })
	}
}

func receiveAll(t *testing.T, c vectors.Webhooks) {
	var step vectors.WebhookStep
	var handled [][]byte
	release := make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mine := step
		content, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		handled = append(handled, content)
		if mine.Waits {
			<-release
		}
		if mine.Fails {
			panic(http.ErrAbortHandler)
		}
		if mine.Answers == 0 {
			mine.Answers = http.StatusNoContent
		}
		w.WriteHeader(mine.Answers)
	})
	h := c.Hook
	receiver, err := reversehttp.Receive(reversehttp.Webhook{Preset: h.Preset, Secret: h.Secret, Topic: h.Topic, Unsubscribe: h.Unsubscribe, Origin: h.Origin}, handler)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(r *http.Request) (answer *http.Response) {
		defer func() {
			if recover() != nil {
				answer = &http.Response{Body: http.NoBody} // as in the case: without a status
			}
		}()
		w := httptest.NewRecorder()
		receiver.ServeHTTP(w, r)
		return w.Result()
	}
	at, waiting := int64(1700000000), make(chan *http.Response, 1)
	if first := c.Steps[0].At; first != 0 {
		at = first
	}
	for i, s := range c.Steps {
		if s.At != 0 {
			at = s.At
		}
		time.Sleep(time.Until(time.Unix(at, 0)))
		step, handled = s, nil
		var answer *http.Response
		switch {
		case s.Waits:
			go func() { waiting <- ask(s.Request.New()) }()
			synctest.Wait()
		case s.Release:
			close(release)
			answer = <-waiting
		default:
			answer = ask(s.Request.New())
		}
		if got := len(handled) == 1; got != s.Handled || got && !bytes.Equal(handled[0], s.Request.Bytes()) {
			t.Errorf("step %d: handled %q, want handled: %v", i, handled, s.Handled)
		}
		if answer == nil {
			continue
		}
		if d := s.Received.Diff(answer); d != "" {
			t.Errorf("step %d: %s", i, d)
		}
	}
}

func TestAReceiverIsMadeWithWhatItNeeds(t *testing.T) {
	for _, of := range []reversehttp.Webhook{
		{Preset: "other", Secret: "s"}, {Preset: "github"}, {Preset: "standard", Secret: "whsec_AAAA"}, {Preset: "standard", Secret: "whpk_AAAA"},
		{Preset: "discord", Secret: "00"}, {Preset: "slack"}, {Preset: "stripe"}, {Preset: "websub", Secret: "s"},
	} {
		if h, err := reversehttp.Receive(of, http.NotFoundHandler()); err == nil || h != nil || !strings.HasPrefix(err.Error(), "reversehttp: receive: ") {
			t.Errorf("%+v: %v, %v, want an error", of, h, err)
		}
	}
}

// The memory of a receiver is bounded, and so are the webhooks with its handler.
func TestAReceiverRemembersTheNewest(t *testing.T) {
	hook := reversehttp.Webhook{Preset: "cloudevents"}
	send := func(h http.Handler, id int) int {
		r := httptest.NewRequest("POST", "/", strings.NewReader("{}"))
		r.Header.Set("Ce-Source", "/a")
		r.Header.Set("Ce-Id", fmt.Sprint(id))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	receiver, err := reversehttp.Receive(hook, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusAccepted) }))
	if err != nil {
		t.Fatal(err)
	}
	for id := range 1025 {
		send(receiver, id)
	}
	// The last is new again, and takes the place of the oldest.
	for _, c := range []struct{ id, want int }{{1, http.StatusOK}, {1024, http.StatusOK}, {0, http.StatusAccepted}} {
		if got := send(receiver, c.id); got != c.want {
			t.Errorf("the %d. again: %d, want %d", c.id, got, c.want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		receiver, err := reversehttp.Receive(hook, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
		if err != nil {
			t.Fatal(err)
		}
		for id := range 1024 {
			go send(receiver, id)
		}
		synctest.Wait()
		if got := send(receiver, 1024); got != http.StatusServiceUnavailable {
			t.Errorf("one more than may be with the handler: %d, want 503", got)
		}
		close(release)
		synctest.Wait()
		if got := send(receiver, 1024); got != http.StatusOK {
			t.Errorf("the same later: %d, want 200", got)
		}
	})
}
