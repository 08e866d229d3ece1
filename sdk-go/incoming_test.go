package reversehttp

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"reversehttp/schema"
)

// A stream has the same lines however it is divided into reads.
func TestLinesAreMessagesHoweverTheyArrive(t *testing.T) {
	var text, want strings.Builder
	text.WriteString("\n\r\n")
	for i, size := range []int{0, 10, lineBuffer - 60, lineBuffer, 5 * lineBuffer, 1, 2} {
		body := strings.Repeat("é", size/2)
		fmt.Fprintf(&text, `{"cursor":"c%d","type":"request","id":"x%d","body":"%s"}`+"\n", i, i, body)
		fmt.Fprintf(&want, "c%d x%d %d;", i, i, len(body))
		if i%3 == 0 {
			text.WriteString("\n")
		}
	}
	for name, r := range map[string]io.Reader{
		"whole":   strings.NewReader(text.String()),
		"bytes":   iotest.OneByteReader(strings.NewReader(text.String())),
		"halves":  iotest.HalfReader(strings.NewReader(text.String())),
		"dataErr": iotest.DataErrReader(strings.NewReader(text.String())),
	} {
		l := newIncoming(r, false, schema.Limits{})
		var got strings.Builder
		for {
			b, err := l.next()
			for _, m := range b.messages {
				fmt.Fprintf(&got, "%s %s %d;", m.Cursor, m.ID, len(m.Content))
			}
			if len(b.messages) > 0 && b.cursor != b.messages[len(b.messages)-1].Cursor {
				t.Errorf("%s: the cursor is %s, want that of the last message", name, b.cursor)
			}
			if err != nil {
				if err != io.EOF {
					t.Errorf("%s: %v at the end, want EOF", name, err)
				}
				break
			}
		}
		if got.String() != want.String() {
			t.Errorf("%s: messages %s, want %s", name, got.String(), want.String())
		}
	}
}

func TestMessagesThatArriveTogetherAreReturnedTogether(t *testing.T) {
	text := strings.Repeat(`{"cursor":"c","type":"future"}`+"\n", 100)
	l := newIncoming(strings.NewReader(text), false, schema.Limits{})
	if b, err := l.next(); len(b.messages) != 100 || err != nil {
		t.Errorf("%d messages, %v; want 100", len(b.messages), err)
	}
}

func TestTheRestOfALineIsNotAMessage(t *testing.T) {
	for _, text := range []string{`{"cursor":"c2","type":"future"}`, `{"cursor":"c2"`, " "} {
		l := newIncoming(strings.NewReader(`{"cursor":"c1","type":"future"}`+"\n"+text), false, schema.Limits{})
		b, err := l.next()
		if len(b.messages) != 1 || b.cursor != "c1" || err != nil {
			t.Errorf("%q: %d messages up to %s, %v; want the whole one", text, len(b.messages), b.cursor, err)
		}
		if b, err = l.next(); len(b.messages) != 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %d messages, %v; want that the stream is cut", text, len(b.messages), err)
		}
	}
}

// A message of a future type may have any members.
func TestALineWithOddMembersIsAMessage(t *testing.T) {
	l := newIncoming(strings.NewReader(`{"attempt":"x","cursor":"c1","type":"future","id":[1]}`+"\n"), false, schema.Limits{})
	if b, err := l.next(); b.cursor != "c1" || len(b.messages) != 1 || b.messages[0].Type != "future" || err != nil {
		t.Errorf("%+v, %v; want the message", b, err)
	}
}

// Content is the bytes beside its message, whatever they are and however they arrive; a message waits for all
// of it.
func TestContentStandsBesideItsMessage(t *testing.T) {
	var text, want strings.Builder
	for i, size := range []int{0, 1, 10, contentRoom, 3*contentRoom + 7, 2} {
		content := strings.Repeat("{\"\n\x00\xff", size)[:size]
		fmt.Fprintf(&text, "\n{\"cursor\":\"c%d\",\"type\":\"request\",\"id\":\"x%d\",\"contentLength\":%d}\n%s\n", i, i, size, content)
		fmt.Fprintf(&text, "{\"cursor\":\"d%d\",\"type\":\"cancel\",\"id\":\"x%d\"}\n", i, i)
		fmt.Fprintf(&want, "c%d x%d %q;d%d x%d \"\";", i, i, content, i, i)
	}
	limits := schema.Limits{FramedInlineBytes: 1 << 20}
	for name, r := range map[string]io.Reader{
		"whole":  strings.NewReader(text.String()),
		"bytes":  iotest.OneByteReader(strings.NewReader(text.String())),
		"halves": iotest.HalfReader(strings.NewReader(text.String())),
	} {
		i := newIncoming(r, true, limits)
		var got strings.Builder
		b, err := i.next()
		for ; err == nil || len(b.messages) > 0; b, err = i.next() {
			for _, m := range b.messages {
				fmt.Fprintf(&got, "%s %s %q;", m.Cursor, m.ID, m.Content)
			}
			if b.cursor != b.messages[len(b.messages)-1].Cursor {
				t.Errorf("%s: the cursor is %s, want that of the last message", name, b.cursor)
			}
			if err != nil {
				break
			}
		}
		if got.String() != want.String() || err != io.EOF {
			t.Errorf("%s: %d bytes of messages, %v; want %d, and EOF", name, got.Len(), err, want.Len())
		}
	}
}

// A complete message does not wait for the content of the next.
func TestAMessageDoesNotWaitForTheContentOfTheNext(t *testing.T) {
	r, w := io.Pipe()
	go func() {
		_, _ = io.WriteString(w, `{"cursor":"c1","type":"future"}`+"\n"+`{"cursor":"c2","type":"future","contentLength":5}`+"\nhe")
	}()
	i := newIncoming(r, true, schema.Limits{FramedInlineBytes: 10})
	if b, err := i.next(); len(b.messages) != 1 || b.cursor != "c1" || err != nil {
		t.Errorf("%d messages up to %s, %v; want the first", len(b.messages), b.cursor, err)
	}
	go func() {
		_, _ = io.WriteString(w, "llo\n")
		_ = w.Close()
	}()
	if b, err := i.next(); len(b.messages) != 1 || b.cursor != "c2" || string(b.messages[0].Content) != "hello" {
		t.Errorf("%d messages up to %s, %v; want the second", len(b.messages), b.cursor, err)
	}
}

func TestAnInvalidFramedStreamFails(t *testing.T) {
	message := func(length int) string { return fmt.Sprintf(`{"type":"future","contentLength":%d}`+"\n", length) }
	for name, c := range map[string]struct {
		text string
		cut  bool // whether the stream is cut
	}{
		"no LF after the content":       {message(5) + "helloX", false},
		"more content than is allowed":  {message(11) + "hello world\n", false},
		"an invalid length":             {`{"contentLength":-1}` + "\n", false},
		"a line that is too long":       {strings.Repeat(" ", 300<<10) + "\n", false},
		"an end within the content":     {message(5) + "he", true},
		"an end before the LF":          {message(5) + "hello", true},
		"an end in place of content":    {message(5), true},
		"an end within a line":          {`{"type":`, true},
		"much content that never comes": {message(10), true},
	} {
		_, err := newIncoming(strings.NewReader(c.text), true, schema.Limits{FramedInlineBytes: 10}).next()
		if c.cut != errors.Is(err, io.ErrUnexpectedEOF) || !c.cut != mangled(err) {
			t.Errorf("%s: %v, want that the stream is cut: %v", name, err, c.cut)
		}
	}
}

// A gateway that announces much content but sends none costs no memory.
func TestContentThatDoesNotComeTakesNoRoom(t *testing.T) {
	limits := schema.Limits{FramedInlineBytes: 1 << 40}
	for _, sent := range []int{0, contentRoom, 5 * contentRoom} {
		text := fmt.Sprintf(`{"type":"future","contentLength":%d}`+"\n", 1<<40) + strings.Repeat("x", sent)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = newIncoming(strings.NewReader(text), true, limits).next()
		runtime.ReadMemStats(&after)
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(8*sent+8*contentRoom); got > most {
			t.Errorf("%d bytes were allocated for %d that came, want %d at most", got, sent, most)
		}
	}
}
