package picture

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"
	"testing"
)

func example() Picture {
	return Picture{
		Title: "figures of <today> & more",
		Notes: []string{"a machine", "versions"},
		Charts: []Chart{{
			Title: "speed", X: "concurrency", At: []string{"1", "64"},
			Series: []Series{{"poll", []float64{0.5, 1.9}}, {"stream", []float64{0.7, 2.2}}},
		}, {
			Title: "memory", X: "claims", At: []string{"10"}, Series: []Series{{"stream", []float64{1}}},
		}},
		Bars: []Bar{{"speed by stream", 2.2, 1.6, true, true}, {"allocations", 90, 45, false, false}},
	}
}

// texts returns what the elements of a name hold, each once.
func texts(t *testing.T, svg, name string) map[string]int {
	t.Helper()
	found := map[string]int{}
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := d.Token()
		if err == io.EOF {
			return found
		}
		if err != nil {
			t.Fatalf("the picture is not well-formed: %v in\n%s", err, svg)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == name {
			var text string
			if err := d.DecodeElement(&text, &e); err != nil {
				t.Fatal(err)
			}
			found[text]++
		}
	}
}

func TestAPictureNamesWhatItShows(t *testing.T) {
	var b bytes.Buffer
	if err := example().Write(&b); err != nil {
		t.Fatal(err)
	}
	shown := texts(t, b.String(), "text")
	for _, text := range []string{
		"figures of <today> & more", "a machine", "versions", "speed", "concurrency", "1", "64", "memory", "claims",
		"poll", "stream", "speed by stream", "2.20  (≥ 1.60) met", "allocations", "90.0  (≤ 45.0)",
	} {
		if shown[text] == 0 {
			t.Errorf("no text %q in\n%s", text, &b)
		}
	}
	if got := shown["stream"]; got != 1 {
		t.Errorf("the legend names stream %d times, want once", got)
	}
	titles := texts(t, b.String(), "title")
	for _, text := range []string{"poll", "poll: 1.90", "stream: 0.70", "stream: 1.00"} {
		if titles[text] == 0 {
			t.Errorf("no series or point is called %q", text)
		}
	}
}

func TestABarEndsAtTheEdge(t *testing.T) {
	row := Bar{Is: 900, Target: 100}.lay(0)
	if row.Length != barMost*barTarget || !row.Beyond {
		t.Errorf("a bar of nine times its target is %v long, beyond: %v; want %v, true", row.Length, row.Beyond, barMost*barTarget)
	}
	if row = (Bar{Is: 50, Target: 100}).lay(0); row.Length != barTarget/2 || row.Beyond {
		t.Errorf("a bar of half its target is %v long, beyond: %v; want %v, false", row.Length, row.Beyond, barTarget/2)
	}
}

func TestAPictureOfNothingIsWellFormed(t *testing.T) {
	var b bytes.Buffer
	if err := (Picture{Title: "nothing"}).Write(&b); err != nil {
		t.Fatal(err)
	}
	if shown := texts(t, b.String(), "text"); len(shown) != 1 {
		t.Errorf("texts are %v, want the title only", shown)
	}
}
