package reversehttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema/vectors"
)

// waitingSession is a session with nothing but its waits.
func waitingSession() *Session {
	s := &Session{}
	s.life, s.end = context.WithCancelCause(context.Background())
	s.polls, s.stop = context.WithCancel(s.life)
	return s
}

var teapot = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) })

func (s *Session) askWaits(r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	s.waits.serve(teapot, w, r)
	return w.Result()
}

func TestARequestIsWaitedForAsEveryCaseSays(t *testing.T) {
	for _, c := range vectors.Waitings() {
		t.Run(c.Name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { playWaits(t, c) }) })
	}
}

func playWaits(t *testing.T, c vectors.Waits) {
	type end struct {
		r   *http.Request
		err error
	}
	s := waitingSession()
	defer s.stop()
	var ended chan end
	for i, step := range c.Steps {
		switch {
		case step.Wait != "":
			ended = make(chan end, 1)
			mine := ended
			go func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if step.TimeoutMs > 0 {
					ctx, cancel = context.WithTimeout(ctx, time.Duration(step.TimeoutMs)*time.Millisecond)
					defer cancel()
				}
				r, err := s.WaitFor(ctx, step.Wait, nil)
				mine <- end{r, err}
			}()
			synctest.Wait()
			continue
		case step.PassMs > 0:
			time.Sleep(time.Duration(step.PassMs) * time.Millisecond)
		default:
			answer := s.askWaits(step.Request.New())
			content, _ := io.ReadAll(answer.Body)
			if answer.StatusCode != step.Received.Status || step.Waited && !strings.Contains(string(content), "You can close this page") {
				t.Errorf("step %d: %d %q, want %d", i, answer.StatusCode, content, step.Received.Status)
			}
		}
		synctest.Wait()
		select {
		case got := <-ended:
			switch {
			case step.TimedOut:
				if !errors.Is(got.err, context.DeadlineExceeded) {
					t.Errorf("step %d: the wait ended with %v, %v", i, got.r, got.err)
				}
			case !step.Waited || got.err != nil:
				t.Errorf("step %d: the wait ended with %v, %v", i, got.r, got.err)
			default:
				content, err := io.ReadAll(got.r.Body)
				if want := step.Request; got.r.Method != want.Method || got.r.URL.RequestURI() != want.Target || string(content) != string(want.Bytes()) || err != nil {
					t.Errorf("step %d: got %s %s %q, %v", i, got.r.Method, got.r.URL, content, err)
				}
			}
		default:
			if step.Waited || step.TimedOut {
				t.Errorf("step %d: the wait goes on", i)
			}
		}
	}
}

func TestAProgramSaysWhichRequestItWaitsForAndAnswersIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := waitingSession()
		defer s.stop()
		go func() {
			r, err := s.WaitFor(t.Context(), "/cb", &WaitOptions{
				Accept:  func(r *http.Request) bool { return r.URL.Query().Get("state") == "mine" },
				Respond: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) }),
			})
			if err != nil || r.URL.RawQuery != "state=mine" {
				t.Errorf("%v, %v", r, err)
			}
		}()
		synctest.Wait()
		if got := s.askWaits(httptest.NewRequest("GET", "/cb?state=other", nil)).StatusCode; got != 404 {
			t.Errorf("another: %d, want 404", got)
		}
		if got := s.askWaits(httptest.NewRequest("GET", "/cb?state=mine", nil)).StatusCode; got != 201 {
			t.Errorf("mine: %d, want 201", got)
		}
	})
}

func TestAWaitEndsWithItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			end  func(*Session)
			want error
		}{
			{func(s *Session) { s.stop() }, ErrClosed},
			{func(s *Session) { s.end(ErrLabelTaken) }, ErrLabelTaken},
		} {
			s := waitingSession()
			errs := make(chan error, 1)
			go func() {
				_, err := s.WaitFor(t.Context(), "/cb", nil)
				errs <- err
			}()
			synctest.Wait()
			if _, err := s.WaitFor(t.Context(), "/cb", nil); err == nil {
				t.Error("a second wait for the path began")
			}
			c.end(s)
			if err := <-errs; !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		}
	})
}

func TestPathsThatWereWaitedForAreBounded(t *testing.T) {
	s := waitingSession()
	for i := range 2 * mostPaths {
		path, by := fmt.Sprint("/", i), &waiter{}
		s.waits.add(path, by)
		s.waits.take(path, by)
	}
	if n := len(s.waits.of); n > mostPaths {
		t.Errorf("%d paths are kept, want %d at most", n, mostPaths)
	}
}
