package cluster

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"reversehttp/server/cluster/peer"
)

// askTime bounds how long another node may take to answer a request that all are asked.
const askTime = 2 * time.Second

// Others implements [reversehttp/server/gateway.Elsewhere]. It does not wait for the end of requests to nodes that
// do not answer in time.
func (n *Node) Others(r *http.Request) (contents [][]byte) {
	ctx, cancel := context.WithTimeout(r.Context(), askTime)
	defer cancel()
	question := r.WithContext(ctx)
	nodes := n.options.Engine.Nodes()
	asked, answers := 0, make(chan []byte, len(nodes))
	for _, l := range nodes {
		of := processOf{l.Name, l.Run}
		if l.Name == n.options.Name || n.peers.isDead(of) || n.peers.isCut(of) {
			continue
		}
		asked++
		n.running.Go(func() {
			got, err := ask(n.pool, placeOf(l), question)
			if err == nil && got.status == http.StatusOK {
				answers <- got.content.Bytes()
				return
			}
			left := ctx.Err() == context.Canceled // the asker has
			answers <- nil
			if !left {
				n.log.Warn("a node did not answer what all were asked", "node", l.Name, "path", r.URL.Path, "status", got.status, "error", err)
			}
		})
	}
	for range asked {
		select {
		case content := <-answers:
			if content != nil {
				contents = append(contents, content)
			}
		case <-ctx.Done():
			return contents
		}
	}
	return contents
}

// ask has a node serve a request without content.
func ask(from *peer.Pool, at peer.Node, r *http.Request) (got *kept, err error) {
	got = &kept{header: http.Header{}}
	defer func() {
		if v := recover(); v != nil && v != http.ErrAbortHandler {
			panic(v)
		} else if v != nil {
			err = http.ErrAbortHandler
		}
	}()
	return got, from.Carry(got, r, nil, at, "", nil)
}

// kept is a response of another node.
type kept struct {
	header  http.Header
	status  int
	content bytes.Buffer
}

// Header returns the fields.
func (k *kept) Header() http.Header { return k.header }

// WriteHeader keeps the status.
func (k *kept) WriteHeader(status int) { k.status = status }

// Write keeps content.
func (k *kept) Write(p []byte) (int, error) { return k.content.Write(p) }

// FlushError does nothing.
func (k *kept) FlushError() error { return nil }
