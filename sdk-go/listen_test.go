package reversehttp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// However a stream is cut into reads, its lines are the same.
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
		l := &lines{r: bufio.NewReaderSize(r, lineBuffer)}
		var got strings.Builder
		for {
			b, err := l.next()
			for _, m := range b.Messages {
				fmt.Fprintf(&got, "%s %s %d;", m.Cursor, m.ID, len(m.Content))
			}
			if len(b.Messages) > 0 && b.Cursor != b.Messages[len(b.Messages)-1].Cursor {
				t.Errorf("%s: the cursor is %s, want that of the last message", name, b.Cursor)
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
	l := &lines{r: bufio.NewReaderSize(strings.NewReader(text), lineBuffer)}
	if b, err := l.next(); len(b.Messages) != 100 || err != nil {
		t.Errorf("%d messages, %v; want 100", len(b.Messages), err)
	}
}

func TestTheRestOfALineIsNoMessage(t *testing.T) {
	for _, text := range []string{`{"cursor":"c2","type":"future"}`, `{"cursor":"c2"`, " "} {
		l := &lines{r: bufio.NewReaderSize(strings.NewReader(`{"cursor":"c1","type":"future"}`+"\n"+text), lineBuffer)}
		b, err := l.next()
		if len(b.Messages) != 1 || b.Cursor != "c1" || err != nil {
			t.Errorf("%q: %d messages up to %s, %v; want the whole one", text, len(b.Messages), b.Cursor, err)
		}
		if b, err = l.next(); len(b.Messages) != 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %d messages, %v; want that the stream is cut", text, len(b.Messages), err)
		}
	}
}

// A message of a type to come may have any members.
func TestALineWithOddMembersIsAMessage(t *testing.T) {
	l := &lines{r: bufio.NewReaderSize(strings.NewReader(`{"attempt":"x","cursor":"c1","type":"future","id":[1]}`+"\n"), lineBuffer)}
	if b, err := l.next(); b.Cursor != "c1" || len(b.Messages) != 1 || b.Messages[0].Type != "future" || err != nil {
		t.Errorf("%+v, %v; want the message", b, err)
	}
}
