package reversehttp

import "testing"

func TestTheCursorOfATunnelPassesNothingThatHasNotBegun(t *testing.T) {
	at := &cursor{at: "3-abc"}
	for _, step := range []struct{ began, cursor, exact string }{
		{"5-abc", "3-abc", ""},
		{"6-abc", "3-abc", ""},
		{"4-abc", "6-abc", "6-abc"},
		{"2-abc", "6-abc", "6-abc"},
		{"8-abc", "6-abc", ""},
	} {
		at.began(step.began)
		if at.at != step.cursor || at.exact() != step.exact {
			t.Errorf("after %s the cursor is %q, exactly %q, want %q, %q", step.began, at.at, at.exact(), step.cursor, step.exact)
		}
	}
	if at.moveTo("7-abc"); at.at != "8-abc" || at.exact() != "8-abc" {
		t.Errorf("after a poll the cursor is %q, want that of what began already", at.at)
	}
	if at.began("of another form"); at.at != "8-abc" || at.exact() != "" {
		t.Errorf("a cursor of another form moves it to %q, exactly %q", at.at, at.exact())
	}
}

func TestAGoawayIsFoundHoweverItIsCut(t *testing.T) {
	frames1 := "\x00\x00\x02\x00\x00\x00\x00\x00\x01\x07\x07" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" // DATA of two 7, SETTINGS
	goaway := "\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00"
	for size := 1; size < 40; size++ {
		f := frames{skip: 3}
		all, found := []byte("PRI"+frames1), false
		for i := 0; i < len(all); i += size {
			found = f.away(all[i:min(i+size, len(all))]) || found
		}
		if found {
			t.Errorf("found one in others, cut to %d bytes", size)
		}
		for i := 0; i < len(goaway); i += size {
			found = f.away([]byte(goaway[i:min(i+size, len(goaway))])) || found
		}
		if !found {
			t.Errorf("not found, cut to %d bytes", size)
		}
	}
}
