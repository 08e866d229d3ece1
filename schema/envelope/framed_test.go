package envelope

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"reversehttp/schema"
)

// readFramed reads messages in the framed form to the end, with their content.
func readFramed(in io.Reader, size int) (list []Answer, err error) {
	r := bufio.NewReaderSize(in, size)
	for {
		line, err := ReadLine(r, nil)
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return list, err
		}
		var a Answer
		if err := a.DecodeLine(line, 4); err != nil {
			return list, err
		}
		if a.Follows {
			a.Content = make([]byte, a.ContentLength)
			if _, err := io.ReadFull(r, a.Content); err != nil {
				return list, err
			}
			if err := ReadEnd(r); err != nil {
				return list, err
			}
		}
		list = append(list, a)
	}
}

func TestAReusedAnswerKeepsNothingOfItsFormerMessage(t *testing.T) {
	lines := []string{
		`{"type":"response","id":"a","status":200,"headers":[["A","b"],["C","d"]],"trailers":[["E","f"]],"contentLength":3}`,
		`{"type":"part","id":"b","seq":1,"more":true,"headers":null}`,
		`{"type":"response","id":"c","status":204,"headers":[["G","h"]],"trailers":[]}`,
		`{"type":"response","id":"d","headers":[]}`,
		`{"type":"response","id":"e","status":"200"}`,
		`{"type":"response"`,
		`{"type":"response","id":"f","headers":[["I","j"]]}`,
		`[]`,
	}
	var again Answer
	for _, line := range lines {
		var fresh Answer
		want := fresh.DecodeLine([]byte(line), 4)
		if err := again.DecodeLine([]byte(line), 4); !reflect.DeepEqual(err, want) || !reflect.DeepEqual(again, fresh) {
			t.Errorf("%s = %+v, %v, want %+v, %v", line, again, err, fresh, want)
		}
	}
	line := []byte(lines[0])
	allocated := func(a func() *Answer) float64 {
		return testing.AllocsPerRun(1000, func() { _ = a().DecodeLine(line, 4) })
	}
	reused, fresh := allocated(func() *Answer { return &again }), allocated(func() *Answer { return new(Answer) })
	if reused >= fresh {
		t.Errorf("%v allocations into an answer that is used again, %v into a new one, want fewer", reused, fresh)
	}
}

func TestFramedMessagesFollowEachOther(t *testing.T) {
	fields := Pairs(nil).Append("A", "b\xe9")
	stream := FramedAnswers.Join([][]byte{
		FramedAnswers.Response("a", 200, fields, []byte("x\n{\"\x00\xff"), Tail{More: true}),
		[]byte("\n\r\n \n"),
		FramedAnswers.Part("a", 1, nil, Tail{Trailers: fields}),
		FramedAnswers.Interim("b", 103, fields),
		FramedAnswers.Abort("c", "why"),
		[]byte("{\"type\":\"response\",\"id\":\"d\",\"status\":200,\"contentLength\":0}\r\n\n"),
		[]byte("{\"type\":\"response\",\"id\":\"e\",\"status\":200,\"body\":\"text\",\"contentLength\":null}\n"),
	})
	pair := []schema.Field{{"A", "b\u00e9"}}
	want := []Answer{
		{Type: "response", ID: "a", Status: 200, Headers: pair, Content: []byte("x\n{\"\x00\xff"), Beside: Beside{true, 6}, Member: "contentLength", More: true},
		{Type: "part", ID: "a", Seq: 1, Trailers: pair},
		{Type: "interim", ID: "b", Status: 103, Headers: pair},
		{Type: "abort", ID: "c", Reason: "why"},
		{Type: "response", ID: "d", Status: 200, Content: []byte{}, Beside: Beside{true, 0}, Member: "contentLength"},
		{Type: "response", ID: "e", Status: 200, Content: []byte("text"), Member: "body"},
	}
	for _, c := range []struct {
		in   io.Reader
		size int
	}{{bytes.NewReader(stream), 4096}, {bytes.NewReader(stream), 16}, {iotest.OneByteReader(bytes.NewReader(stream)), 16}} {
		got, err := readFramed(c.in, c.size)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
		}
	}
}

func TestFramedFaults(t *testing.T) {
	long := `{"type":"` + strings.Repeat("a", MostLine-10) + `"}`
	for _, c := range []struct {
		in   string
		want error
	}{
		{`{"contentLength":1.0}` + "\nx\n", ErrLength},
		{`{"contentLength":1e0}` + "\nx\n", ErrLength},
		{`{"contentLength":"1"}` + "\nx\n", ErrLength},
		{`{"contentLength":true}` + "\n", ErrLength},
		{`{"contentLength":{}}` + "\n", ErrLength},
		{`{"contentLength":-1}` + "\n", ErrLength},
		{`{"contentLength":9007199254740992}` + "\n", ErrLength},
		{`{"contentLength":99999999999999999999}` + "\n", ErrLength},
		{`{"contentLength":01}` + "\n", ErrMalformed},
		{`{"contentLength":1,"contentLength":1}` + "\nx\n", ErrTwice},
		{`{"contentLength":1}` + "\nxy\n", ErrFraming},
		{`{"contentLength":1}` + "\nx", io.ErrUnexpectedEOF},
		{`{"contentLength":2}` + "\nx", io.ErrUnexpectedEOF},
		{`{"contentLength":2}`, io.ErrUnexpectedEOF},
		{`{"type":"abort"} {"type":"abort"}` + "\n", ErrMalformed},
		{"{\"type\":\"\n\"}\n", ErrMalformed},
		{"{\"type\":\"\xff\"}\n", ErrMalformed},
		{long + "\n", ErrLine},
		{strings.Repeat(" ", MostLine+1), ErrLine},
		{"{\"a\":" + strings.Repeat("[", 20) + strings.Repeat("]", 20) + "}\n", ErrDepth},
	} {
		_, err := readFramed(strings.NewReader(c.in), 64)
		var f *Fault
		if errors.As(err, &f) {
			err = f.Err
		}
		if err != c.want {
			t.Errorf("%.60q: %v, want %v", c.in, err, c.want)
		}
	}
}

// TestContentHasOneWay checks that faults of contentLength are reported at that member, and that as many
// bytes follow as it says.
func TestContentHasOneWay(t *testing.T) {
	for _, c := range []struct{ members, where string }{
		{`"body":""`, "contentLength"}, {`"bodyBase64":"YQ=="`, "contentLength"}, {`"bodyUrl":"http://x"`, "contentLength"},
		{`"bodyBase64":"?"`, "contentLength"}, {`"body":null`, ""}, {`"bodyUrl":null`, ""},
	} {
		list, err := readFramed(strings.NewReader(`{"type":"response","id":"a","status":200,"contentLength":2,`+c.members+"}\nok\n"+`{"type":"abort","id":"b"}`+"\n"), 64)
		if err != nil || len(list) != 2 || list[1].ID != "b" {
			t.Errorf("%s: %+v, %v", c.members, list, err)
			continue
		}
		want := error(nil)
		if c.where != "" {
			want = ErrBeside
		}
		if a := list[0]; a.ContentErr != want || a.Member != "contentLength" || a.ContentLength != 2 {
			t.Errorf("%s: %+v, want the fault %v", c.members, a, want)
		}
	}
	for _, members := range []string{`"status":"200"`, `"headers":{}`, `"id":1`} {
		list, err := readFramed(strings.NewReader(`{"type":"response",`+members+`,"contentLength":2}`+"\nok\n"), 64)
		if err != nil || len(list) != 1 || list[0].Fault == nil || string(list[0].Content) != "ok" {
			t.Errorf("%s: %+v, %v", members, list, err)
		}
	}
	got, err := DecodeAnswers([]byte(`{"type":"response","id":"a","status":200,"contentLength":2}`), 1, 1)
	if err != nil || got[0].ContentErr != ErrNotFramed || got[0].Member != "contentLength" {
		t.Errorf("in JSON: %+v, %v", got, err)
	}
}

func TestFramedRequest(t *testing.T) {
	content := []byte("a\nb\xff")
	r := Request{Cursor: "c", ID: "i", Attempt: 1, Method: "POST", Beside: Beside{true, int64(len(content))}}
	b := Framed.End(AppendRequest(Framed.Begin(nil, "c"), &r, []Field{{"Host", "h"}}, nil), content)
	b = Framed.End(AppendCancel(Framed.Begin(b, "d"), &Request{Cursor: "d", ID: "i"}, schema.CancelVisitorGone), nil)
	in := bufio.NewReader(bytes.NewReader(b))
	line, err := ReadLine(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := DecodeMessage(line)
	if err != nil || m.Cursor != "c" || !m.Follows || m.ContentLength != 4 || m.Content != nil {
		t.Fatalf("%+v, %v", m, err)
	}
	got := make([]byte, m.ContentLength)
	if _, err := io.ReadFull(in, got); err != nil || !bytes.Equal(got, content) || ReadEnd(in) != nil {
		t.Fatalf("content %q, %v", got, err)
	}
	if line, err = ReadLine(in, nil); err != nil {
		t.Fatal(err)
	}
	if m, err = DecodeMessage(line); err != nil || m.Type != "cancel" || m.Follows {
		t.Fatalf("%+v, %v", m, err)
	}
}

func FuzzFramed(f *testing.F) {
	f.Add([]byte("{\"type\":\"abort\",\"id\":\"x\",\"contentLength\":3}\nabc\n\n{}\n"), 1)
	f.Add(FramedAnswers.Response("a", 200, nil, []byte("\n\n"), Tail{}), 2)
	f.Fuzz(func(t *testing.T, in []byte, size int) {
		// The input may claim any length, so lengths beyond the input are excluded.
		all, err := readBounded(in, 4096)
		few, err2 := readBounded(in, 16)
		if (err == nil) != (err2 == nil) || !reflect.DeepEqual(all, few) {
			t.Fatalf("%q: %+v, %v with a buffer, %+v, %v without", in, all, err, few, err2)
		}
		content := in[:min(len(in), max(size, 0))]
		back, err := readFramed(bytes.NewReader(FramedAnswers.Join([][]byte{FramedAnswers.Part("p", 1, content, Tail{More: true}), FramedAnswers.Abort("q", "")})), 16)
		if err != nil || len(back) != 2 || !bytes.Equal(back[0].Content, content) || back[1].ID != "q" {
			t.Fatalf("%q came back as %+v, %v", content, back, err)
		}
	})
}

// readBounded is readFramed for messages whose contentLength is within the input.
func readBounded(in []byte, size int) ([]Answer, error) {
	r := bufio.NewReader(bytes.NewReader(in))
	for {
		line, err := ReadLine(r, nil)
		if err != nil {
			break
		}
		var a Answer
		if err := a.DecodeLine(line, 4); err != nil || a.ContentLength > int64(len(in)) {
			return nil, errors.New("too long")
		} else if a.Follows {
			_, _ = r.Discard(int(a.ContentLength))
			_, _ = r.Discard(1)
		}
	}
	return readFramed(bytes.NewReader(in), size)
}
