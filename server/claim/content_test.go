package claim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"testing"
	"time"

	"reversehttp/server/budget"
)

// source is a visitor who sends parts, then trailers. If fault is set, they fail instead of ending cleanly.
type source struct {
	parts    [][]byte
	length   int64
	trailers []Field
	fault    error

	ended  bool
	closed int
}

func (s *source) Read(into []byte) (int, error) {
	switch {
	case len(s.parts) == 0 && s.fault != nil:
		return 0, s.fault
	case len(s.parts) == 0:
		s.ended = true
		return 0, io.EOF
	}
	n := copy(into, s.parts[0])
	if s.parts[0] = s.parts[0][n:]; len(s.parts[0]) == 0 {
		s.parts = s.parts[1:]
	}
	return n, nil
}

func (s *source) Length() int64 { return s.length }

func (s *source) Trailers() (fields []Field) {
	for _, f := range s.trailers {
		if !s.ended {
			f.Value = ""
		}
		fields = append(fields, f)
	}
	return fields
}

func (s *source) Close() error { s.closed++; return nil }

func TestContentCanBeReadInTheSameWayInEveryForm(t *testing.T) {
	const text = "some content of a visitor"
	trailers := []Field{{"Checksum", "42"}}
	streamed := func(length int64) *Content {
		return Streamed(&source{parts: [][]byte{[]byte(text[:5]), []byte(text[5:6]), []byte(text[6:])}, length: length, trailers: trailers})
	}
	hold := budget.New(budget.Amounts{}).Open(netip.Addr{})
	defer hold.Close()
	collect := func(c *Content) *Content {
		whole, _, err := c.collect(hold, len(text))
		if err != nil {
			t.Fatal(err)
		}
		return whole
	}
	collected := func(length int64) *Content { return collect(streamed(length)) }
	for name, c := range map[string]struct {
		content  *Content
		streams  bool
		times    int // that it can be read
		length   int64
		trailers []Field
	}{
		"whole":                          {Whole([]byte(text)), false, 3, int64(len(text)), nil},
		"streamed":                       {streamed(int64(len(text))), true, 1, int64(len(text)), trailers},
		"streamed, of unknown length":    {streamed(-1), true, 1, -1, trailers},
		"collected":                      {collected(int64(len(text))), false, 3, int64(len(text)), trailers},
		"collected, of unknown length":   {collected(-1), false, 3, int64(len(text)), trailers},
		"collected, and collected again": {collect(collected(-1)), false, 3, int64(len(text)), trailers},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.content.Streams(); got != c.streams {
				t.Errorf("streams = %v, want %v", got, c.streams)
			}
			if got := c.content.Length(); got != c.length {
				t.Errorf("length = %d, want %d", got, c.length)
			}
			for range c.times {
				in := c.content.Open()
				if got, err := io.ReadAll(in); string(got) != text || err != nil {
					t.Errorf("read %q %v, want %q", got, err, text)
				}
				if err := in.Close(); err != nil {
					t.Error(err)
				}
			}
			if got := c.content.Trailers(); !slices.Equal(got, c.trailers) {
				t.Errorf("trailers = %v, want %v", got, c.trailers)
			}
			if got := c.content.read(); got != len(text) {
				t.Errorf("%d bytes passed, want %d", got, len(text))
			}
			if got := string(c.content.Bytes()); !c.streams && got != text || c.streams && got != "" {
				t.Errorf("bytes = %q", got)
			}
		})
	}
}

func TestAbsentContentIsEmpty(t *testing.T) {
	c := Whole([]byte{})
	if c != nil {
		t.Errorf("whole content of no bytes = %v, want nil", c)
	}
	got, err := io.ReadAll(c.Open())
	if len(got) > 0 || err != nil || c.Streams() || c.Length() != 0 || c.read() != 0 || c.Trailers() != nil || c.Bytes() != nil {
		t.Errorf("read %q %v; streams %v, length %d, passed %d, trailers %v", got, err, c.Streams(), c.Length(), c.read(), c.Trailers())
	}
	if again, free, err := c.collect(nil, 0); again != c || free == nil || err != nil {
		t.Errorf("collected = %v %v, want it as it is", again, err)
	}
}

func TestTrailersHaveNoValuesBeforeTheEnd(t *testing.T) {
	c := Streamed(&source{parts: [][]byte{[]byte("a")}, length: -1, trailers: []Field{{"Checksum", "42"}}})
	if got := c.Trailers(); !slices.Equal(got, []Field{{"Checksum", ""}}) {
		t.Errorf("trailers before the end = %v, want their names", got)
	}
}

func TestCollectedContentCountsInItsHold(t *testing.T) {
	fault := errors.New("broken off")
	part := bytes.Repeat([]byte("x"), 5_000)
	for name, c := range map[string]struct {
		source source
		limit  int
		memory int64
		want   error
		read   int // bytes
	}{
		"up to the limit":           {source{parts: [][]byte{part, part}, length: -1}, 10_000, 0, nil, 10_000},
		"beyond the limit":          {source{parts: [][]byte{part, part}, length: -1}, 9_999, 0, ErrTooLong, 10_000},
		"longer by its own account": {source{parts: [][]byte{part, part}, length: 10_000}, 9_999, 0, ErrTooLong, 0},
		"broken off":                {source{parts: [][]byte{part}, length: 10_000, fault: fault}, 20_000, 0, fault, 5_000},
		"without room":              {source{parts: [][]byte{part, part}, length: -1}, 20_000, 9_000, ErrNoRoom, 4_096},
	} {
		t.Run(name, func(t *testing.T) {
			hold := budget.New(budget.Amounts{budget.Memory: c.memory}).Open(netip.Addr{})
			defer hold.Close()
			content := Streamed(&c.source)
			got, free, err := content.collect(hold, c.limit)
			if !errors.Is(err, c.want) || content.read() != c.read {
				t.Errorf("collect = %v after %d bytes, want %v after %d", err, content.read(), c.want, c.read)
			}
			if err == nil {
				if held := int(hold.Held(budget.Memory)); held != cap(got.Bytes()) || held < c.read {
					t.Errorf("%d bytes are held for %d", held, c.read)
				}
				free()
			}
			if int(hold.Held(budget.Memory)) != 0 {
				t.Errorf("%d bytes are held, want none", int(hold.Held(budget.Memory)))
			}
		})
	}
}

func TestFetchedContentIsReadOnce(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		from := &source{parts: [][]byte{[]byte("abc")}, length: 3}
		v := s.request(&Request{Method: "POST", Content: Streamed(from)})
		s.one(one, nil)
		content, err := one.Delivery(v.x.ID()).Fetch()
		if err != nil {
			t.Fatal(err)
		}
		in := content.Open()
		if got, err := io.ReadAll(in); string(got) != "abc" || err != nil {
			t.Errorf("read %q %v", got, err)
		}
		if _ = in.Close(); from.closed != 1 {
			t.Errorf("the source was closed %d times, want once", from.closed)
		}
		if _, _, err := one.Delivery(v.x.ID()).Collect(1); !errors.Is(err, ErrTaken) {
			t.Errorf("gather after fetch = %v, want ErrTaken", err)
		}
		s.answer(one, v.x, 200, Accepted)
		v.answered(200)
		if got := s.ends[v.x.ID()][0].Sent; got != 3 {
			t.Errorf("sent = %d, want what was read", got)
		}
	})
}

func TestARequestWithFetchedContentOrABegunAnswerIsNotDeliveredAgain(t *testing.T) {
	for name, take := range map[string]func(s *Session, x *Exchange) error{
		"fetched": func(s *Session, x *Exchange) error {
			if _, err := s.Delivery(x.ID()).Fetch(); err != nil {
				return err
			}
			if _, err := s.Delivery(x.ID()).Fetch(); !errors.Is(err, ErrTaken) {
				return fmt.Errorf("second fetch: %v", err)
			}
			return nil
		},
		"begun": func(s *Session, x *Exchange) error {
			_, err := s.Delivery(x.ID()).Answer(&Answer{Status: 200, More: true}, nil)
			return err
		},
	} {
		for how, lose := range map[string]func(s *Session, cursor string) error{
			"lost":            func(*Session, string) error { time.Sleep(10 * time.Second); return nil },
			"ended before it": func(s *Session, cursor string) error { return s.End(&cursor, false) },
			"polled before it": func(s *Session, cursor string) error {
				if b, err := s.Poll(context.Background(), &cursor, 0, 0); b != nil || err != nil {
					return fmt.Errorf("poll = %v %v, want nothing", ids(b), err)
				}
				return s.End(nil, false)
			},
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				inScene(t, Options{}, func(t *testing.T, s *scene) {
					one, other := s.session(Settings{Redeliver: new(RedeliverAny)}), s.session()
					v := s.request(&Request{Method: "GET", Content: Streamed(&source{})})
					s.one(one, new(cursorOf(one.id, 0)))
					if err := take(one, v.x); err != nil {
						t.Fatal(err)
					}
					if err := lose(one, cursorOf(one.id, 0)); err != nil {
						t.Fatal(err)
					}
					if b := s.take(other, nil); b != nil {
						t.Errorf("another session got %v", ids(b))
					}
					if name == "fetched" {
						v.failed(Failed, ErrSessionLost, HandedYes)
						return
					}
					(&streamed{visit: v, s: one, ctx: t.Context()}).cut(Failed, ErrSessionLost)
				})
			})
		}
	}
}

func TestContentIsFetchedByItsSessionOnly(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one, other := s.session(), s.session()
		v := s.request(&Request{Method: "POST", Content: Streamed(&source{})})
		s.one(one, nil)
		if _, err := other.Delivery(v.x.ID()).Fetch(); !errors.Is(err, ErrNoExchange) {
			t.Errorf("another session's fetch = %v, want ErrNoExchange", err)
		}
		v.x.Reject(ErrTaken)
		v.failed(Failed, ErrTaken, HandedUnknown)
		if _, err := one.Delivery(v.x.ID()).Fetch(); !errors.Is(err, ErrNoExchange) {
			t.Errorf("fetch after the end = %v, want ErrNoExchange", err)
		}
		s.answer(one, v.x, 200, Late)
		if _, got, err := one.Delivery(v.x.ID()).Stream(Coming{}); got != Late || !errors.Is(err, ErrNoExchange) {
			t.Errorf("stream = %v %v, want late", got, err)
		}
	})
}
