package process

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"reversehttp/server/cluster"
	"reversehttp/server/cluster/engine"
	"reversehttp/server/gateway"
)

// clusterFlags are the flags of a gateway of several nodes.
type clusterFlags struct {
	Cluster         []string `placeholder:"URL,…" help:"NATS servers, version 2.11 or newer, that keep which node has which claim, such as nats://127.0.0.1:4222, or tls://. All gateways with the same servers are one. Default: this gateway is alone."`
	ClusterCreds    string   `placeholder:"FILE" help:"Credentials for NATS."`
	ClusterBucket   string   `default:"reversehttp" placeholder:"NAME" help:"Name of the bucket in NATS; several clusters can share a NATS with a bucket each."`
	ClusterReplicas *int     `placeholder:"N" help:"On how many NATS servers each record is. Default: 3 if there are three servers, and otherwise 1."`
	Node            string   `placeholder:"NAME" help:"Name of this node, which no other node has. Default: that of the machine."`
	PeerListen      string   `default:"127.0.0.1:0" placeholder:"ADDRESS" help:"Address for other nodes. Nodes on other machines need --peer-ca, --peer-cert and --peer-key too."`
	PeerAddress     string   `placeholder:"HOST:PORT" help:"Where other nodes reach --peer-listen. Default: the address that it listens on."`
	PeerCA          string   `name:"peer-ca" placeholder:"FILE" help:"Certificates of the CA that signed those of all nodes, in PEM. Nodes speak TLS 1.3 with each other then, and refuse every peer without one."`
	PeerCert        string   `placeholder:"FILE" help:"Certificate of this node, for any host, in PEM. All nodes can have the same one. It is read again when it changes."`
	PeerKey         string   `placeholder:"FILE" help:"Key of that certificate, in PEM."`
}

// node is this process as one of several; nil if it is alone.
type node struct {
	*cluster.Node
	engine   engine.Engine
	listener net.Listener
}

// joinTime bounds how long joining the others may take: a NATS that has just started may have no
// leader yet.
const joinTime = 30 * time.Second

// join connects to the engine and listens for other nodes. It sets what the gateway needs of them.
func join(o *options, g *gateway.Options, log *slog.Logger) (*node, error) {
	if len(o.Several.Cluster) == 0 {
		return nil, nil
	}
	serves, calls, err := peerTLS(o, log)
	if err != nil {
		return nil, err
	}
	if o.Data != "" {
		return nil, o.wrong(errors.New("--data and --cluster: claims are kept in NATS, not in a directory; leave out one of them"))
	}
	name := o.Several.Node
	if name == "" {
		if name, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("--node: this machine has no name: %w; give one", err)
		}
	}
	n := &node{}
	if n.listener, err = net.Listen("tcp", o.Several.PeerListen); err != nil {
		return nil, fmt.Errorf("--peer-listen: %w", explainListen(o.Several.PeerListen, err))
	}
	at := n.listener.Addr().(*net.TCPAddr)
	address := o.Several.PeerAddress
	switch {
	case serves == nil && !at.IP.IsLoopback():
		err = o.wrong(fmt.Errorf("--peer-listen=%s: others can reach this address; set --peer-ca, --peer-cert and --peer-key, or listen on 127.0.0.1", o.Several.PeerListen))
	case address == "" && at.IP.IsUnspecified():
		err = o.wrong(fmt.Errorf("--peer-listen=%s: say with --peer-address at which host and port other nodes reach it", o.Several.PeerListen))
	case address == "":
		address = at.String()
	}
	if err != nil {
		_ = n.listener.Close()
		return nil, err
	}
	replicas := 0
	if o.Several.ClusterReplicas != nil {
		replicas = *o.Several.ClusterReplicas
	}
	run := rand.Text()
	ctx, cancel := context.WithTimeout(context.Background(), joinTime)
	defer cancel()
	n.engine, err = engine.Connect(ctx, engine.Options{URLs: o.Several.Cluster, Creds: o.Several.ClusterCreds, Bucket: o.Several.ClusterBucket, Replicas: replicas, Node: name, Run: run, Log: log})
	if err != nil {
		_ = n.listener.Close()
		return nil, fmt.Errorf("--cluster=%s: %w", strings.Join(o.Several.Cluster, ","), err)
	}
	n.Node = cluster.New(cluster.Options{
		Engine: n.engine, Name: name, Run: run, Address: address, Serves: serves, Calls: calls, Settings: shared(o, g), Log: log,
	})
	if err := n.Agree(); err != nil {
		n.close()
		return nil, o.wrong(err)
	}
	g.Elsewhere, g.Records, g.Withdrawn, g.Metrics, g.NotReady = n.Node, n.engine, n.engine, n.Metrics(), n.NotReady
	g.SharedDomains, g.Quotas.Shared = cluster.Domains(n.Node), cluster.Usage(n.Node)
	if g.DomainSecret, err = n.engine.Secret(ctx, "domains"); err != nil {
		n.close()
		return nil, fmt.Errorf("--cluster=%s: %w", strings.Join(o.Several.Cluster, ","), err)
	}
	return n, nil
}

// shared returns the settings that have to be equal on all nodes, by flag: those that programs and visitors see,
// whichever node they ask. A flag that is changed without stopping all nodes must not be among them.
func shared(o *options, g *gateway.Options) map[string]string {
	public := g.PublicURL
	if public == "" {
		public = "that of the port" // which differs between nodes of one machine, who then are for trying
	}
	all := map[string]string{"--public-url": public, "--public": fmt.Sprint(o.Public), "--family": strings.Join(o.Family, ",")}
	for flag, value := range map[string]any{
		"--lease": o.Lease, "--answer": o.Answer, "--wait": o.Wait, "--stream": o.Stream, "--heartbeat": o.Heartbeat,
		"--max-sessions": o.MaxSessions, "--max-queue": o.MaxQueue, "--batch": o.Batch, "--inline-bytes": o.InlineBytes, "--framed-inline-bytes": o.FramedInlineBytes,
		"--content-bytes": o.ContentBytes, "--part-bytes": o.PartBytes, "--answer-bytes": o.AnswerBytes,
	} {
		all[flag] = fmt.Sprint(value)
	}
	return all
}

// peerTLS returns the TLS configurations for connections from and to other nodes; nil without
// certificates.
func peerTLS(o *options, log *slog.Logger) (serves, calls *tls.Config, err error) {
	if o.Several.PeerCA == "" && o.Several.PeerCert == "" && o.Several.PeerKey == "" {
		return nil, nil, nil
	}
	if o.Several.PeerCA == "" || o.Several.PeerCert == "" || o.Several.PeerKey == "" {
		return nil, nil, o.wrong(errors.New("--peer-ca, --peer-cert and --peer-key: set all three, so that nodes know each other"))
	}
	pem, err := os.ReadFile(o.Several.PeerCA)
	if err != nil {
		return nil, nil, o.wrong(fmt.Errorf("--peer-ca: %w", err))
	}
	known := x509.NewCertPool()
	if !known.AppendCertsFromPEM(pem) {
		return nil, nil, o.wrong(fmt.Errorf("--peer-ca=%s: the file has no certificate in PEM", o.Several.PeerCA))
	}
	own := &certificate{cert: o.Several.PeerCert, key: o.Several.PeerKey, log: log}
	if err := own.read(); err != nil {
		return nil, nil, o.wrong(fmt.Errorf("--peer-cert=%s --peer-key=%s: %w; use PEM files", o.Several.PeerCert, o.Several.PeerKey, err))
	}
	serves = &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: known, GetCertificate: own.get}
	// Every certificate of the CA is one of a node, whichever address it has: those of pods are not known
	// before they start.
	calls = &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, VerifyConnection: signedBy(known), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own.get(nil) }}
	return serves, calls, nil
}

// signedBy returns a check that the certificate of a server was signed by one of these CAs. It does not
// check for which host.
func signedBy(known *x509.CertPool) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		between := x509.NewCertPool()
		for _, c := range s.PeerCertificates[1:] {
			between.AddCert(c)
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: known, Intermediates: between})
		return err
	}
}

// start joins a gateway to the others.
func (n *node) start(g *gateway.Gateway) {
	if n != nil {
		n.Start(n.listener, g)
	}
}

// replaced is closed once another process has the name of this node; nil if it is alone.
func (n *node) replaced() <-chan struct{} {
	if n == nil {
		return nil
	}
	return n.Replaced()
}

// close leaves the other nodes.
func (n *node) close() {
	if n == nil {
		return
	}
	if n.Node != nil {
		n.Close()
	}
	_ = n.listener.Close() // which Close has closed if the node had started
	n.engine.Close()
}
