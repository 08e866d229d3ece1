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
)

// options are the flags: name, default, help, and what [checkBounds] holds a value to. Zero bounds and times that have no default here mean
// those of the gateway.
type options struct {
	Listen          string `default:"127.0.0.1:8080" help:"Address to listen on, or fd:3 for a socket that is handed over as that descriptor. One that a service manager hands over by LISTEN_FDS is taken without the flag."`
	PublicURL       string `name:"public-url" placeholder:"TEMPLATE" help:"Template of public URLs with {label}, in the host or as the last segment of a path. Default: http://{label}.localhost:PORT/, or https."`
	TLSCert         string `name:"tls-cert" placeholder:"FILE" help:"Certificate to speak TLS with, in PEM, with what it is signed with. It is read again when it changes."`
	TLSKey          string `name:"tls-key" placeholder:"FILE" help:"Key of the certificate, in PEM."`
	AdminListen     string `placeholder:"ADDRESS" help:"Address for the operator, such as 127.0.0.1:9090 or unix:/run/reversehttp/admin.sock: /metrics, profiles and admin calls. Beyond a local gateway /metrics is nowhere else."`
	AdminKeyFile    string `placeholder:"FILE" help:"File with a key that every call to --admin-listen shows, as Bearer. An address that others can reach needs it."`
	AuditLog        string `placeholder:"FILE" help:"Write down in JSON lines what becomes of claims, and what the operator does; tokens, keys and content are not in it. The file is opened anew at SIGHUP."`
	Public          bool   `help:"Let strangers in: a warning before their pages, once a browser session, and no forms in those of a claim's first day; no labels that look like brands; /abuse and /.well-known/security.txt; and these flags where they are not given: ${publicDefaults}. Holders of keys are no strangers."`
	SecurityContact string `placeholder:"URI" help:"Whom to tell of a hole, in /.well-known/security.txt: mailto:security@example.com, or an https: URL. Default with --public: its page to report abuse."`
	AbuseLog        string `placeholder:"FILE" help:"Write down reports of abuse, as --audit-log does, which has them too."`
	Data            string `placeholder:"DIR" help:"Directory to keep claims in. Without it nothing outlives the process."`
	LogFormat       string `enum:"text,json" default:"text" help:"Format of the log on standard error: text or json."`
	LogLevel        string `enum:"debug,info,warn,error" default:"info" help:"Least level of the log: debug (exchanges), info (sessions), warn or error."`

	ACMEEmail   string   `name:"acme-email" placeholder:"ADDRESS" help:"Have certificates from a CA that speaks ACME, whose terms you agree to and which may write to this address; by TLS on the port, or by --http-listen."`
	ACMECA      string   `name:"acme-ca" placeholder:"URL" help:"Directory of the CA, with or without --acme-email. Default: that of Let's Encrypt."`
	ACMECARoot  string   `name:"acme-ca-root" placeholder:"FILE" help:"What a private CA's own certificate is signed with, in PEM."`
	ACMEDir     string   `name:"acme-dir" placeholder:"DIR" help:"Directory to keep certificates and their keys in. Default: acme in --data."`
	ACMEDNS     string   `name:"acme-dns" placeholder:"HOST:PORT" help:"Server of DNS that takes updates (RFC 2136) for the domain of --public-url: one certificate for all labels."`
	ACMEDNSKey  string   `name:"acme-dns-key" placeholder:"FILE" help:"Key for these updates, as tsig-keygen writes it."`
	ACMEPerWeek int      `name:"acme-per-week" default:"40" negative:"no bound" help:"Most new certificates for labels in a week, where --acme-dns makes none for all. Negative: no bound."`
	HTTPListen  string   `name:"http-listen" placeholder:"ADDRESS" help:"Address that sends http: URLs to https: and answers the CA, such as :80."`
	Domains     []string `placeholder:"DOMAIN=LABEL,…" help:"Domains that claims of a label may bring without a record that shows whose they are."`
	Resolver    string   `placeholder:"HOST:PORT" help:"Resolver of DNS to ask for records. Default: that of the machine."`

	Family      []string `default:"all" placeholder:"NAME,…" help:"Older and sibling protocols to speak: all, none, or some of reversehttp, comet2008, ptth, ietfPtth."`
	SharedToken bool     `help:"Let programs of ReverseHttp (2008 to 2012) claim with the token \"-\", the default of their libraries, which anyone can share."`
	DevicesFile string   `name:"family-device-file" placeholder:"FILE" help:"What --family-device lists, in a file, one a line."`
	Devices     []string `name:"family-device" placeholder:"LABEL=TOKEN,…" help:"Let devices without a token serve a label by the doors ptth and comet2008: the token stands in their path in place of the label."`

	AllowOrigin     []string `placeholder:"ORIGIN,…" help:"Origins of web pages that may use a gateway that only this machine reaches, beside pages of this machine, such as https://app.example; null lets in files and sandboxed frames, and so any web page. Beyond that every page may."`
	ClaimKeys       []string `placeholder:"KEY,…" help:"Let only holders of one of these keys claim."`
	ClaimKeysFile   string   `placeholder:"FILE" help:"The same, in a file, one a line."`
	Accounts        string   `placeholder:"FILE" help:"Accounts, in JSON: their names, hashed keys, labels and leases. The file is read again when it changes; reversehttp admin key new writes keys to it."`
	JWKS            string   `name:"jwks" placeholder:"FILE" help:"Public keys of an issuer, as a JWKS, whose tokens (JWT) are keys too: sub is the account, and labels are the patterns that it may claim until exp. The file is read again when it changes."`
	JWTIssuer       string   `name:"jwt-issuer" placeholder:"NAME" help:"The iss of these tokens."`
	JWTAudience     string   `name:"jwt-audience" placeholder:"NAME" help:"The aud of these tokens."`
	Reserved        []string `placeholder:"LABEL,…" help:"Labels that nobody may claim, in place of the default ones (www, api, admin, …)."`
	TrustedProxies  []string `placeholder:"CIDR,…" help:"Proxies whose word on visitors counts: what they send in the field of --trusted-field."`
	RequireSuffix   bool     `name:"require-public-suffix" help:"Refuse to start where claims have hosts whose parent domain is not on the Public Suffix List, so that a page of one could set cookies for all. A gateway that only this machine reaches starts anyway."`
	ProxyProtocol   bool     `help:"Have --trusted-proxies say whom a connection is for by the PROXY protocol, version 1 or 2, before all else. That is the address of the connection then, and no field of it counts."`
	TrustedField    string   `enum:"x-forwarded-for,forwarded,x-real-ip,true-client-ip,cf-connecting-ip,fastly-client-ip,fly-client-ip,x-azure-clientip" default:"x-forwarded-for" help:"The one field by which --trusted-proxies tell who a visitor is: ${enum}."`
	ClaimsPerSecond *float64 `help:"Rate of claiming from one address; twenty seconds' worth may come at once. Default: 50, and no bound where only this machine reaches the gateway. Negative: no bound."`
	VisitsPerSecond float64  `default:"-1" help:"The same for visitors' requests. Negative: no bound."`

	QuotaAddress []string `placeholder:"NAME=AMOUNT,…" help:"What all claims of one address may use that are no account's: claims, sessions, inFlight, requestsPerMinute, requestBytesPerDay, responseBytesPerDay, requestBytesPerMonth and responseBytesPerMonth, such as requestsPerMinute=600,responseBytesPerDay=5GiB. Default: no bound."`
	QuotaLabel   []string `placeholder:"NAME=AMOUNT,…" help:"The same for each claim, but for claims."`
	QuotaAccount []string `placeholder:"NAME=AMOUNT,…" help:"The same for each account that has no quotas of its own in --accounts."`

	Memory           *size `placeholder:"SIZE" help:"What the process may take, such as 256MiB; half of it is for what strangers and programs have it keep. Default: a quarter of what the machine, or its cgroup, has."`
	LinkWindow       *int  `help:"Most content on a link that no visitor has taken yet, in bytes. Default: a sixty-fourth of what --memory has for it, from 1 MiB to 16 MiB."`
	ClaimsPerAddress *int  `negative:"no bound" help:"Most open claims of one address. Default: 20, and 1000 where only this machine reaches the gateway. Negative: no bound."`

	MaxReleased *int `negative:"none" help:"Most released labels that are remembered. Default: as many as a sixty-fourth of --memory takes at 512 bytes each, 100000 at most. Negative: none."`

	MaxConnections    int `default:"32768" help:"Most connections."`
	MaxClaims         int `default:"100000" help:"Most claims."`
	MaxSessions       int `default:"64" help:"Most sessions of one claim."`
	MaxQueue          int `default:"1024" help:"Most open exchanges of one claim."`
	MaxExchanges      int `default:"16384" help:"Most open exchanges of the gateway."`
	Batch             int `default:"64" help:"Most messages of one poll."`
	InlineBytes       int `default:"65536" help:"Most content of a request in its envelope, in bytes; more is streamed."`
	FramedInlineBytes int `default:"262144" help:"Most content of a request beside its envelope in the framed form, in bytes, where that is more."`
	ContentBytes      int `default:"68719476736" help:"Most content of a request, in bytes."`
	PartBytes         int `default:"262144" help:"Most content of a part of an answer, in bytes."`
	AnswerBytes       int `default:"16777216" help:"Largest POST of answers, in bytes."`
	TargetBytes       int `default:"16384" help:"Longest request target, in bytes."`
	FieldBytes        int `default:"65536" help:"Most fields of a request, in bytes."`
	Fields            int `default:"256" help:"Most fields of a request."`
	ContentRate       int `default:"1024" help:"Least rate of content, in bytes a second, after the time that a visitor has for an answer to begin, or a program by --content-grace."`

	Wait           time.Duration `default:"25s" from:"1s" to:"24h" unit:"1s" help:"Longest wait of a poll for a batch."`
	Stream         time.Duration `default:"55s" from:"1s" to:"24h" unit:"1s" help:"How long a poll that streams stays open."`
	Heartbeat      time.Duration `default:"15s" from:"1s" to:"24h" unit:"1s" help:"Longest silence of a poll that streams."`
	Unacknowledged time.Duration `default:"5s" help:"How long a poll goes on streaming after a message that is neither acknowledged nor answered."`
	Acknowledge    time.Duration `default:"10s" help:"Life of a session that uses cursors with neither a poll nor an answer."`
	Closed         time.Duration `default:"2s" help:"How long a session that uses cursors may be silent once its program closed the connection of its poll, until others serve what may be repeated."`
	NoPoller       time.Duration `default:"5s" help:"How long a visitor waits while nobody polls."`
	Answer         time.Duration `default:"60s" from:"1s" to:"10m" help:"How long a visitor waits for the answer, where the claim does not say."`
	Part           time.Duration `default:"60s" help:"How long a visitor waits for the next part of a streamed answer."`
	Lease          time.Duration `default:"60s" from:"1s" to:"24h" unit:"1s" help:"Life of a claim that nobody polls, where the claim does not say."`
	Unpolled       time.Duration `default:"60s" help:"Life of a claim that was never polled, whatever its lease."`
	Released       time.Duration `default:"2160h" from:"0s" help:"How long a label that its program chose stays its token's once it is released, where claims are kept with --data and others reach the gateway."`
	Tombstone      time.Duration `default:"2m" help:"How long ids of ended exchanges are remembered."`
	FieldTime      time.Duration `default:"10s" help:"How long a request head may take."`
	ContentGrace   time.Duration `default:"10s" help:"How long what a program sends may take before its rate counts."`
	Idle           time.Duration `default:"2m" help:"How long a connection is kept between requests."`
	Preflight      time.Duration `default:"2h" help:"How long a browser may remember a preflight."`
	ContentPause   time.Duration `default:"40s" help:"Longest pause of a visitor in sending content that is waited for."`
	DrainDelay     time.Duration `default:"0s" from:"0s" help:"How long the port stays open at least once the gateway stops, so that a load balancer can see that it is not ready."`
	Drain          time.Duration `default:"30s" help:"How long running exchanges may take once the gateway stops."`

	Config  kong.ConfigFlag  `placeholder:"FILE" help:"JSON file with flags by name, such as {\"listen\":\":8080\"}. Lines that begin with // are comments."`
	Version kong.VersionFlag `env:"-" help:"Print the version, and end."`

	file     *config
	accounts *account.Directory
	// lastWrites is how long a request that was begun may take to come at the end, and answers to reach
	// their peers where the time to drain is over.
	lastWrites time.Duration
	// lastRequests is how long whoever was let in may take to begin a request at the end.
	lastRequests time.Duration
}

// parse reads flags, environment and configuration, in that order of weight.
// --help and --version print and end the process, unless settings say otherwise.
func parse(args []string, settings ...kong.Option) (*options, error) {
	o, err := parseWith(args, nil, settings...)
	if err == nil && o.Public {
		o, err = parseWith(args, publicDefaults, settings...)
	}
	if err != nil {
		return nil, err
	}
	if err := o.check(); err != nil { // once: it reads files, of which some are pipes
		return nil, o.wrong(err)
	}
	return o, nil
}

// publicDefaults are what flags are with --public, where nobody says it: bounds for strangers, whom nobody knows.
var publicDefaults = map[string]string{
	"claims-per-address": "5", "claims-per-second": "1", "visits-per-second": "50", "max-queue": "256", "max-sessions": "8", "content-bytes": "268435456",
	"quota-address": "requestsPerMinute=1200,requestBytesPerDay=2GiB,responseBytesPerDay=5GiB,requestBytesPerMonth=20GiB,responseBytesPerMonth=50GiB",
}

// told returns defaults as flags, in order.
func told(defaults map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(defaults)) {
		all = append(all, "--"+name+"="+defaults[name])
	}
	return strings.Join(all, " ")
}

// parseWith reads flags as parse does, with other defaults of some, and checks nothing but their bounds.
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
		kong.Name("reversehttp"), kong.DefaultEnvars("REVERSEHTTP"), kong.Vars{"version": version(), "publicDefaults": told(publicDefaults)},
		kong.Description("A gateway that lends URL space to programs that can only make HTTP requests. Each flag is also an environment variable, REVERSEHTTP_LISTEN for --listen, and a member of the --config file."),
	}, settings...)...)
}

// negative is a number, or a time, that looks like a flag.
var negative = regexp.MustCompile(`^-[0-9.]+[a-zµ]*$`)

// joined writes a flag and a negative number after it as one, --flag=-1: kong takes the number
// for a flag otherwise.
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

// gateway makes options for the gateway of those for the process, listening at.
func (o *options) gateway(at *net.TCPAddr, log *slog.Logger) (gateway.Options, error) {
	g := gateway.Options{
		Public: o.Public, SecurityContact: o.SecurityContact, PublicURL: o.PublicURL, Loopback: at.IP.IsLoopback(), AllowOrigins: o.AllowOrigin, Keys: o.ClaimKeys, Accounts: o.accounts, Reserved: o.Reserved,
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
	g.Owned = map[string]string{} // or a stranger claims it while the device is off
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

// orZero returns what a flag says, or zero where it is not given.
func orZero[T any](v *T) (zero T) {
	if v == nil {
		return zero
	}
	return *v
}

// orNone returns a time, negative for none.
func orNone(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// scheme is what the port speaks.
func (o *options) scheme() string {
	if o.TLSCert != "" || o.acme() {
		return "https"
	}
	return "http"
}

func (o *options) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(o.LogLevel)) // kong let only levels through
	settings := &slog.HandlerOptions{Level: level}
	if o.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, settings))
	}
	return slog.New(slog.NewTextHandler(w, settings))
}

// version tells which build this is, and by which Go.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "reversehttp gateway " + runtime.Version()
	}
	return "reversehttp gateway " + info.Main.Version + " " + info.GoVersion
}
