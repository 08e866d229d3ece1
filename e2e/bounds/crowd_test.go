package bounds

import (
	"fmt"
	"io"
	"testing"
	"time"
)

const (
	crowd = 100
	// How many bytes each transfers, of which it reads only a few.
	endless   = 1 << 30
	crowdMost = 100 << 20
	// How many crowds in a row may leave memory behind before that counts as a leak.
	crowdsMost = 8
)

func TestACrowdOfSlowVisitorsHoldsLittle(t *testing.T) {
	t.Parallel()
	gateway := start(t, "as-gateway")
	program := start(t, "as-program", gateway.at)
	down := func(target string) func() *visitor {
		return func() *visitor { return visit(t, program.at, "GET", fmt.Sprintf("%s?size=%d", target, endless), "") }
	}
	up := func(target string) func() *visitor {
		return func() *visitor {
			return visit(t, program.at, "POST", target, fmt.Sprintf("Content-Length: %d\r\n", endless))
		}
	}
	for _, c := range []struct {
		name  string
		visit func() *visitor
		move  func(*visitor) error
	}{
		{"who read an answer", down("/down"), readSome},
		{"who read an answer in parts", down("/down-in-parts"), readSome},
		{"who send", up("/up"), sendSome},
		{"who send and read", up("/through"), func(v *visitor) error {
			if err := sendSome(v); err != nil {
				return err
			}
			return readSome(v)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for crowds := 1; ; crowds++ {
				w := watch(t, gateway, program)
				leave := gather(t, program, c.visit, c.move)
				for range stops {
					moved := program.tell(order{})
					await(t, "something moves", func() bool {
						f := program.tell(order{})
						return f.Read+f.Written > moved.Read+moved.Written
					})
					w.look()
				}
				leave()
				w.judge(held.all, min(crowdMost, crowd*transferMost))
				// The shared state that the first crowds create is not due to one crowd: maps grow depending
				// on their hashes.
				if grown := w.grown(); !grown.more() {
					return
				} else if crowds == crowdsMost {
					t.Fatalf("each of %d crowds left something behind, the last one %s", crowds, grown)
				}
			}
		})
	}
}

// gather makes a crowd visit at once. When everything that can be buffered for them is, each moves a little
// of its content now and then, until they leave.
func gather(t *testing.T, program *process, visit func() *visitor, move func(*visitor) error) (leave func()) {
	t.Helper()
	all := make([]*visitor, crowd)
	for i := range all {
		all[i] = visit()
	}
	moved := func() int64 {
		f := program.tell(order{})
		return f.Read + f.Written
	}
	await(t, "everybody is served", func() bool { return program.tell(order{}).Running == crowd })
	awaitStill(t, "every handler", moved)
	before := moved()
	left, gone := make(chan struct{}), make(chan error, crowd)
	for _, v := range all {
		go func() {
			tick := time.NewTicker(time.Second / 10)
			defer tick.Stop()
			for {
				if err := move(v); err != nil {
					gone <- err
					return
				}
				select {
				case <-tick.C:
				case <-left:
					gone <- nil
					return
				}
			}
		}()
	}
	await(t, "handlers go on", func() bool { return moved()-before >= crowd*little })
	return func() {
		t.Helper()
		close(left)
		for _, v := range all {
			_ = v.SetDeadline(time.Now())
		}
		for range all {
			if err := <-gone; err != nil && !isTimeout(err) {
				t.Errorf("a visitor got an error: %v", err)
			}
		}
		for _, v := range all {
			_ = v.Close()
		}
	}
}

func isTimeout(err error) bool {
	t, ok := err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}

// little is how many bytes a slow visitor moves at a time.
const little = 8 << 10

func readSome(v *visitor) error {
	_, err := io.CopyN(io.Discard, v.reader, little)
	return err
}

func sendSome(v *visitor) error {
	_, err := v.Write(noise[:little])
	return err
}
