package claim

import (
	"slices"
	"testing"
)

func TestWhatWasTakenBackIsGivenOnce(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		f, err := one.Feed(nil)
		if err != nil {
			t.Fatal(err)
		}
		v := s.visit("POST")
		for range 3 {
			m, err := f.Next(t.Context())
			if err != nil || m.Attempt != 1 {
				t.Fatalf("next = %+v %v, want the request for the first time", m, err)
			}
			one.Untake(m.ID)
		}
		last, err := f.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		cursor := one.Cursor()
		b := s.take(one, &cursor)
		if !slices.Equal(ids(b), []string{v.x.ID()}) || b.Cursor != last.Cursor || b.Messages[0].Attempt != 2 {
			t.Errorf("a poll has %+v, want the request once, with the cursor %s", b, last.Cursor)
		}
		s.answer(one, v.x, 200, Accepted)
	})
}
