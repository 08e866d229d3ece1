package process

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"reversehttp/server/account"
	"reversehttp/server/claim"
	"reversehttp/server/family"
	"reversehttp/server/gateway"
	"reversehttp/server/trace"
)

// options are the flags: name, default, help, and the bounds for [checkBounds]. A zero bound or
// duration without a default here means the default of the gateway.
type options struct {
	Listen          string `default:"127.0.0.1:8080" help:"Address to listen on, or fd:3 for a socket inherited as that descriptor. Without the flag, a socket that a service manager passes by LISTEN_FDS is used."`
	PublicURL       string `name:"public-url" placeholder:"TEMPLATE" help:"Template of public URLs with {label}, in the host or as the last segment of a path. Default: http://{label}.localhost:PORT/, or https."`
	TLSCert         string `name:"tls-cert" placeholder:"FILE" help:"Certificate for TLS, in PEM, with its chain. It is read again when it changes."`
	TLSKey          string `name:"tls-key" placeholder:"FILE" help:"Key of the certificate, in PEM."`
	AdminListen     string `placeholder:"ADDRESS" help:"Address for the operator, such as 127.0.0.1:9090 or unix:/run/reversehttp/admin.sock: /metrics, profiles and admin calls. Unless the gateway is local, /metrics is only there."`
	AdminKeyFile    string `placeholder:"FILE" help:"File with a key that every call to --admin-listen must show as a Bearer token. Required for an address that others can reach."`
	AuditLog        string `placeholder:"FILE" help:"Log changes of claims and actions of the operator as JSON lines, without tokens, keys and content. SIGHUP reopens the file."`
	Public          bool   `help:"Protect people from strangers' claims: a warning before their pages, once a browser session, and no forms on a claim's first day; no labels that look like brands; /abuse and /.well-known/security.txt; and these defaults: ${publicDefaults}. Holders of keys are not strangers."`
	SecurityContact string `placeholder:"URI" help:"Contact for vulnerabilities, in /.well-known/security.txt: mailto:security@example.com, or an https: URL. Default with --public: its page for reporting abuse."`
	AbuseLog        string `placeholder:"FILE" help:"Log reports of abuse, like --audit-log, which also has them."`
	Data            string `placeholder:"DIR" help:"Directory to store claims in. Without it nothing outlives the process."`
	LogFormat       string `enum:"text,json" default:"text" help:"Format of the log on standard error: text or json."`
	LogLevel        string `enum:"debug,info,warn,error" default:"info" help:"Lowest level to log: debug (exchanges), info (sessions), warn or error."`

	ACMEEmail   string   `name:"acme-email" placeholder:"ADDRESS" help:"Obtain certificates from a CA by ACME, accepting its terms; the CA may write to this address. It validates by TLS on the port, or by --http-listen."`
	ACMECA      string   `name:"acme-ca" placeholder:"URL" help:"Directory of the CA, with or without --acme-email. Default: that of Let's Encrypt."`
	ACMECARoot  string   `name:"acme-ca-root" placeholder:"FILE" help:"Root of a private CA's own certificate, in PEM."`
	ACMEDir     string   `name:"acme-dir" placeholder:"DIR" help:"Directory to store certificates and their keys in. Default: acme in --data."`
	ACMEDNS     string   `name:"acme-dns" placeholder:"HOST:PORT" help:"DNS server that accepts updates (RFC 2136) for the domain of --public-url: one certificate for all labels."`
	ACMEDNSKey  string   `name:"acme-dns-key" placeholder:"FILE" help:"Key for these updates, as tsig-keygen writes it."`
	ACMEPerWeek int      `name:"acme-per-week" default:"40" negative:"no bound" help:"Most new certificates for labels in a week, if --acme-dns does not obtain one for all. Negative: no bound."`
	HTTPListen  string   `name:"http-listen" placeholder:"ADDRESS" help:"Address that redirects http: URLs to https: and answers the CA, such as :80."`
	Domains     []string `placeholder:"DOMAIN=LABEL,…" help:"Domains that claims of a label may use without a DNS record that proves ownership."`
	Resolver    string   `placeholder:"HOST:PORT" help:"DNS resolver for records. Default: that of the machine."`

	Several clusterFlags `embed:""`

	Family      []string `default:"all" placeholder:"NAME,…" help:"Older and sibling protocols to speak: all, none, or some of reversehttp, comet2008, ptth, ietfPtth."`
	SharedToken bool     `help:"Let programs of ReverseHttp (2008 to 2012) claim with the token \"-\", the default of their libraries, which anyone can use."`
	DevicesFile string   `name:"family-device-file" placeholder:"FILE" help:"Like --family-device, in a file, one a line."`
	Devices     []string `name:"family-device" placeholder:"LABEL=TOKEN,…" help:"Let devices that cannot send a token serve a label by the doors ptth and comet2008: the token replaces the label in their path."`

	AllowOrigin     []string `placeholder:"ORIGIN,…" help:"Origins of web pages, such as https://app.example, that may use a gateway that only this machine can reach, in addition to pages of this machine; null allows files and sandboxed frames, and so any web page. Any other gateway allows every page."`
	ClaimKeys       []string `placeholder:"KEY,…" help:"Let only holders of one of these keys claim."`
	ClaimKeysFile   string   `placeholder:"FILE" help:"Like --claim-keys, in a file, one a line."`
	Accounts        string   `placeholder:"FILE" help:"Accounts, in JSON: their names, hashed keys, labels and leases. The file is read again when it changes; reversehttp admin key new writes keys to it."`
	JWKS            string   `name:"jwks" placeholder:"FILE" help:"Public keys of an issuer, as a JWKS, whose tokens (JWT) are keys too: sub is the account, and labels are the patterns that it may claim until exp. The file is read again when it changes."`
	JWTIssuer       string   `name:"jwt-issuer" placeholder:"NAME" help:"The iss of these tokens."`
	JWTAudience     string   `name:"jwt-audience" placeholder:"NAME" help:"The aud of these tokens."`
	Reserved        []string `placeholder:"LABEL,…" help:"Labels that nobody may claim, in place of the default ones (www, api, admin, …)."`
	Traces          string   `enum:"sampled,unsampled,none" default:"sampled" help:"Traces (W3C Trace Context) to begin for requests without a valid traceparent: sampled, unsampled or none. Those of visitors pass in any case."`
	TrustedProxies  []string `placeholder:"CIDR,…" help:"Proxies that are trusted to name visitors, in the field of --trusted-field."`
	RequireSuffix   bool     `name:"require-public-suffix" help:"Refuse to start if claims have hosts whose parent domain is not on the Public Suffix List, since a page of one could set cookies for all. A gateway that only this machine can reach starts anyway."`
	ProxyProtocol   bool     `help:"Expect the PROXY protocol, version 1 or 2, from --trusted-proxies. Its address is that of the connection, and fields are not read."`
	TrustedField    string   `enum:"x-forwarded-for,forwarded,x-real-ip,true-client-ip,cf-connecting-ip,fastly-client-ip,fly-client-ip,x-azure-clientip" default:"x-forwarded-for" help:"The field in which --trusted-proxies name visitors: ${enum}."`
	ClaimsPerSecond *float64 `help:"Rate of claiming from one address, with bursts of twenty seconds' worth. Default: 50, or no bound if only this machine can reach the gateway. Negative: no bound."`
	VisitsPerSecond float64  `default:"-1" help:"The same for visitors' requests. Negative: no bound."`

	QuotaAddress []string `placeholder:"NAME=AMOUNT,…" help:"What all claims of one address may use together, except those of accounts: claims, sessions, inFlight, requestsPerMinute, requestBytesPerDay, responseBytesPerDay, requestBytesPerMonth and responseBytesPerMonth, such as requestsPerMinute=600,responseBytesPerDay=5GiB. Default: no bound."`
	QuotaLabel   []string `placeholder:"NAME=AMOUNT,…" help:"The same for each claim, without the name claims."`
	QuotaAccount []string `placeholder:"NAME=AMOUNT,…" help:"The same for each account without quotas of its own in --accounts."`

	Memory           *size `placeholder:"SIZE" help:"Memory that the process may take, such as 256MiB; half of it is for data of visitors and programs. Default: a quarter of the memory of the machine or its cgroup."`
	LinkWindow       *int  `help:"Most content on a link that visitors have not received yet, in bytes. Default: a sixty-fourth of the half of --memory, from 1 MiB to 16 MiB."`
	ClaimsPerAddress *int  `negative:"no bound" help:"Most open claims of one address. Default: 20, or 1000 if only this machine can reach the gateway. Negative: no bound."`

	MaxReleased *int `negative:"none" help:"Most released labels that are remembered. Default: as many as a sixty-fourth of --memory takes at 512 bytes each, 100000 at most. Negative: none."`

	MaxConnections    int `default:"32768" help:"Most connections."`
	MaxClaims         int `default:"100000" help:"Most claims."`
	MaxSessions       int `default:"64" help:"Most sessions of one claim."`
	MaxQueue          int `default:"1024" help:"Most open exchanges of one claim."`
	MaxExchanges      int `default:"16384" help:"Most open exchanges of the gateway."`
	Batch             int `default:"64" help:"Most messages of one poll."`
	InlineBytes       int `default:"65536" help:"Most content of a request in its envelope, in bytes; more is streamed."`
	FramedInlineBytes int `default:"262144" help:"Most content of a request beside its envelope in the framed form, in bytes, if that is more than --inline-bytes."`
	ContentBytes      int `default:"68719476736" help:"Most content of a request, in bytes."`
	PartBytes         int `default:"262144" help:"Most content of a part of an answer, in bytes."`
	AnswerBytes       int `default:"16777216" help:"Largest POST of answers, in bytes."`
	TargetBytes       int `default:"16384" help:"Longest request target, in bytes."`
	FieldBytes        int `default:"65536" help:"Most fields of a request, in bytes."`
	Fields            int `default:"256" help:"Most fields of a request."`
	ContentRate       int `default:"1024" help:"Slowest rate of content, in bytes a second: for a visitor after the timeout of the claim, for a program after --content-grace."`

	Wait           time.Duration `default:"25s" from:"1s" to:"24h" unit:"1s" help:"Longest wait of a poll for a batch."`
	Stream         time.Duration `default:"55s" from:"1s" to:"24h" unit:"1s" help:"How long a poll that streams stays open."`
	Heartbeat      time.Duration `default:"15s" from:"1s" to:"24h" unit:"1s" help:"Longest silence of a poll that streams."`
	Unacknowledged time.Duration `default:"5s" help:"How long a poll keeps streaming after a message that is neither acknowledged nor answered."`
	Acknowledge    time.Duration `default:"10s" help:"Life of a session that uses cursors without a poll or an answer."`
	Closed         time.Duration `default:"2s" help:"How long a session that uses cursors may be silent after its program closed the connection of its poll, until other sessions serve its exchanges that may be repeated."`
	NoPoller       time.Duration `default:"5s" help:"How long a visitor waits while nobody polls."`
	Answer         time.Duration `default:"60s" from:"1s" to:"10m" help:"How long a visitor waits for the answer, unless the claim sets a timeout."`
	Part           time.Duration `default:"60s" help:"How long a visitor waits for the next part of a streamed answer."`
	Lease          time.Duration `default:"60s" from:"1s" to:"24h" unit:"1s" help:"Life of a claim that nobody polls, unless the claim sets a lease."`
	Unpolled       time.Duration `default:"60s" help:"Life of a claim that was never polled, whatever its lease."`
	Released       time.Duration `default:"2160h" from:"0s" help:"How long a label that its program chose stays reserved for its token after release, if claims are stored with --data and others can reach the gateway."`
	Tombstone      time.Duration `default:"2m" help:"How long ids of ended exchanges are remembered."`
	FieldTime      time.Duration `default:"10s" help:"How long a request head may take."`
	ContentGrace   time.Duration `default:"10s" help:"How long content of a program may take before --content-rate applies."`
	Idle           time.Duration `default:"2m" help:"How long a connection stays open between requests."`
	Preflight      time.Duration `default:"2h" help:"How long a browser may cache the answer to a preflight."`
	ContentPause   time.Duration `default:"40s" help:"Longest pause of a visitor while the gateway waits for their content."`
	DrainDelay     time.Duration `default:"0s" from:"0s" help:"How long the port stays open at least after the gateway begins to stop, so that load balancers notice that it is not ready."`
	Drain          time.Duration `default:"30s" help:"How long exchanges may still run after the gateway begins to stop."`

	Config  kong.ConfigFlag  `placeholder:"FILE" help:"JSON file with flags by name, such as {\"listen\":\":8080\"}. Lines that begin with // are comments."`
	Version kong.VersionFlag `env:"-" help:"Print the version and exit."`

	file     *config
	accounts *account.Directory
	// lastWrites bounds, after the time to drain is over, how long the rest of a request that has
	// begun may take to arrive, and answers to reach their peers.
	lastWrites time.Duration
	// lastRequests is how long connections accepted before the port closed may take to begin a
	// request.
	lastRequests time.Duration
}

// parse reads flags, environment and configuration file, in this order of precedence. --help and
// --version print and end the process, unless settings say otherwise.
func parse(args []string, settings ...kong.Option) (*options, error) {
	o, err := parseWith(args, nil, settings...)
	if err == nil && o.Public {
		o, err = parseWith(args, publicDefaults, settings...)
	}
	if err != nil {
		return nil, err
	}
	if err := o.check(); err != nil { // only once: it reads files, some of which may be pipes
		return nil, o.wrong(err)
	}
	return o, nil
}

// publicDefaults are the defaults of flags with --public: bounds for strangers.
var publicDefaults = map[string]string{
	"claims-per-address": "5", "claims-per-second": "1", "visits-per-second": "50", "max-queue": "256", "max-sessions": "8", "content-bytes": "268435456",
	"quota-address": "requestsPerMinute=1200,requestBytesPerDay=2GiB,responseBytesPerDay=5GiB,requestBytesPerMonth=20GiB,responseBytesPerMonth=50GiB",
}

// told returns defaults as flags, sorted by name.
func told(defaults map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(defaults)) {
		all = append(all, "--"+name+"="+defaults[name])
	}
	return strings.Join(all, " ")
}

// parseWith is like parse, but with other defaults for some flags, and without checks apart from
// bounds.
func parseWith(args []string, defaults map[string]string, settings ...kong.Option) (*options, error) {
	o := &options{lastWrites: 2 * time.Second}
	var file *config
	load := func(r io.Reader) (_ kong.Resolver, err error) {
		file, err = readConfig(r)
		return file, err
	}
	k, err := parser(o, append([]kong.Option{kong.Configuration(load)}, settings...))
	if err != nil {
		return nil, err
	}
	for _, f := range k.Model.Flags {
		if value, ok := defaults[f.Name]; ok {
			f.Default, f.HasDefault = value, true
		}
	}
	if _, err := k.Parse(joined(args)); err != nil {
		return nil, wrong{fmt.Errorf("%w; --help lists the flags", file.blame(err))}
	}
	o.file = file
	for _, f := range k.Model.Flags {
		if err := checkBounds(f); err != nil {
			return nil, o.wrong(err)
		}
	}
	return o, nil
}

// parser returns the parser of the flags.
func parser(o *options, settings []kong.Option) (*kong.Kong, error) {
	return kong.New(o, append([]kong.Option{
		kong.Name("reversehttp"), kong.DefaultEnvars("REVERSEHTTP"), kong.Vars{"version": "reversehttp gateway " + Version(), "publicDefaults": told(publicDefaults)},
		kong.Description("A gateway that lends URL space to programs that can only make HTTP requests. Each flag is also an environment variable, REVERSEHTTP_LISTEN for --listen, and a member of the --config file."),
	}, settings...)...)
}

// negative matches a negative number or duration, which looks like a flag.
var negative = regexp.MustCompile(`^-[0-9.]+[a-zµ]*$`)

// joined joins a flag and a negative number after it, as in --flag=-1. kong would otherwise take
// the number for a flag.
func joined(args []string) (out []string) {
	for _, arg := range args {
		if last := len(out) - 1; negative.MatchString(arg) && last >= 0 && strings.HasPrefix(out[last], "--") && !strings.Contains(out[last], "=") {
			out[last] += "=" + arg
		} else {
			out = append(out, arg)
		}
	}
	return out
}

// gateway returns the options of the gateway for a process that listens at an address.
func (o *options) gateway(at *net.TCPAddr, log *slog.Logger) (gateway.Options, error) {
	g := gateway.Options{
		Public: o.Public, SecurityContact: o.SecurityContact, PublicURL: o.PublicURL, Loopback: at.IP.IsLoopback(), AllowOrigins: o.AllowOrigin, Keys: o.ClaimKeys, Accounts: o.accounts, Reserved: o.Reserved, Traces: trace.Begin(o.Traces),
		ClaimsPerSecond: orZero(o.ClaimsPerSecond), VisitsPerSecond: o.VisitsPerSecond,
		Times: claim.Times{
			Wait: o.Wait, Stream: o.Stream, Heartbeat: o.Heartbeat, Unacknowledged: o.Unacknowledged, Acknowledge: o.Acknowledge, Closed: o.Closed, NoPoller: o.NoPoller, Answer: o.Answer, Part: o.Part, Lease: o.Lease, Unpolled: o.Unpolled, Tombstone: o.Tombstone, Released: orNone(o.Released),
		},
		Limits: claim.Limits{
			Claims: o.MaxClaims, Sessions: o.MaxSessions, Queue: o.MaxQueue, Exchanges: o.MaxExchanges, Batch: o.Batch,
			AddressClaims: orZero(o.ClaimsPerAddress), Released: orZero(o.MaxReleased), Connections: o.MaxConnections, Memory: o.memory() / 2,
		},
		InlineBytes: o.InlineBytes, FramedInlineBytes: o.FramedInlineBytes, ContentBytes: o.ContentBytes, PartBytes: o.PartBytes, LinkWindow: orZero(o.LinkWindow), AnswerBytes: o.AnswerBytes, TargetBytes: o.TargetBytes, FieldBytes: o.FieldBytes, Fields: o.Fields,
		FieldTime: o.FieldTime, ContentGrace: o.ContentGrace, ContentRate: o.ContentRate, ContentPause: o.ContentPause, Idle: o.Idle, Preflight: o.Preflight,
		Drain: o.Drain, DrainDelay: o.DrainDelay, LastRequests: o.lastRequests, Log: log,
	}
	quotas, err := o.quotas()
	if err != nil {
		return g, o.wrong(err)
	}
	g.Quotas = quotas
	doors, err := family.Choose(o.Family)
	if err != nil {
		return g, o.wrong(fmt.Errorf("--family=%s: %w", strings.Join(o.Family, ","), err))
	}
	devices, err := family.ParseDevices(o.Devices)
	if err == nil && len(devices) > 0 && !slices.Contains(doors, "ptth") && !slices.Contains(doors, "comet2008") {
		err = errors.New("devices come by the doors ptth and comet2008, and --family opens neither")
	}
	if err != nil {
		return g, o.wrong(fmt.Errorf("--family-device: %w", err))
	}
	g.Owned = map[string]string{} // otherwise a stranger could claim it while the device is off
	for _, d := range devices {
		g.Owned[d.Label] = d.Token
	}
	if o.SharedToken {
		g.SharedTokens = []string{family.SharedToken}
	}
	if g.Domains, err = parseDomains(o.Domains); err != nil {
		return g, o.wrong(err)
	}
	g.LookupTXT = o.resolver().LookupTXT
	g.Doors = family.Doors(family.Options{Names: doors, SharedToken: o.SharedToken, Devices: devices})
	if g.PublicURL == "" && !g.Loopback {
		return g, o.wrong(fmt.Errorf("--listen=%s: others can reach this address, and need public URLs with a name of yours: give --public-url '%s://{label}.example.com:%d/', with DNS for *.example.com, or '%[2]s://example.com:%[3]d/at/{label}/' with one name", o.Listen, o.scheme(), at.Port))
	}
	if g.PublicURL == "" {
		g.PublicURL = o.scheme() + "://{label}.localhost:" + strconv.Itoa(at.Port) + "/"
	}
	g.TrustedField = http.CanonicalHeaderKey(o.TrustedField)
	for _, cidr := range o.TrustedProxies {
		p, err := netip.ParsePrefix(cidr)
		if err != nil {
			a, addrErr := netip.ParseAddr(cidr)
			if addrErr != nil {
				return g, o.wrong(fmt.Errorf("--trusted-proxies=%s: give addresses or prefixes such as 10.0.0.0/8", cidr))
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		g.TrustedProxies = append(g.TrustedProxies, p)
	}
	return g, nil
}

// orZero returns the value of a flag, or zero if the flag is not set.
func orZero[T any](v *T) (zero T) {
	if v == nil {
		return zero
	}
	return *v
}

// orNone returns a duration, or a negative one instead of zero.
func orNone(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// scheme returns the URL scheme that the port speaks.
func (o *options) scheme() string {
	if o.TLSCert != "" || o.acme() {
		return "https"
	}
	return "http"
}

func (o *options) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(o.LogLevel)) // kong has checked the level
	settings := &slog.HandlerOptions{Level: level}
	if o.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, settings))
	}
	return slog.New(slog.NewTextHandler(w, settings))
}

// Release is the version of a program that was built to be given out, which the linker sets. Others say what
// the build knows.
var Release string

// Version returns which build this is, and by which Go.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	switch {
	case Release != "":
		return Release + " " + runtime.Version()
	case !ok:
		return runtime.Version()
	}
	return info.Main.Version + " " + info.GoVersion
}
