package reversehttp_test

import (
	"io"
	"net/http"
	"testing"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/gateway"
)

// BenchmarkDownload measures an answer of 64 MiB in parts, by each transport.
func BenchmarkDownload(b *testing.B) {
	piece := make([]byte, 64<<10)
	for _, transport := range []reversehttp.Transport{"poll", "framed", "link"} {
		b.Run(string(transport), func(b *testing.B) {
			l := lend(b, hostShape, gateway.Options{})
			s := l.serve(b, handle(func(w http.ResponseWriter, r *http.Request) {
				for range 1024 {
					if _, err := w.Write(piece); err != nil {
						return
					}
				}
			}), &reversehttp.Options{Transport: transport})
			client := l.client(b)
			b.SetBytes(64 << 20)
			b.ReportAllocs()
			for b.Loop() {
				resp, err := client.Get(s.URL())
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, resp.Body); n != 64<<20 || err != nil {
					b.Fatal(n, err)
				}
				resp.Body.Close()
			}
		})
	}
}
