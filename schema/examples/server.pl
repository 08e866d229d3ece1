# Answers HTTP requests, one after another: perl server.pl [GATEWAY [LABEL]]
use v5.36;
use HTTP::Tiny;
use JSON::PP qw(decode_json encode_json);
use MIME::Base64 qw(decode_base64);

sub handler ($request, $content) {
    return { status => 200, body => "$request->{method} $request->{target}\n" };
}

sub call ($method, $url, $bearer, $message = undef) {
    my %headers = (Authorization => $bearer, 'Content-Type' => 'application/json');
    my %send = (headers => \%headers, content => $message && encode_json $message);
    my $response = HTTP::Tiny->new->request($method, $url, \%send);
    return $response->{success} ? $response->{content} : die "$url: @$response{qw(status content)}\n";
}

sub answer ($request, $bearer) {
    utf8::encode(my $content = $request->{body} // '');
    $content = decode_base64($request->{bodyBase64}) if $request->{bodyBase64};
    # Long content has a URL. So has a WebSocket's, which has no end.
    $content = call('GET', $request->{bodyUrl}, $bearer) if $request->{bodyUrl} && !$request->{upgrade};
    return { type => 'response', handler($request, $content)->%* };
}

sub serve ($gateway = 'http://localhost:8080', $label = undef) {
    my $claim = { label => $label };
    for (;; warn($@), sleep 1) {
        eval {    # The answer holds the token, which has the label back later.
            $claim = decode_json call('POST', $gateway =~ s|/+$||r . '/claims', '', $claim);
            my $bearer = "Bearer $claim->{token}";
            STDOUT->printflush("$claim->{url}\n");
            while (1) {
                my $batch = call('GET', $claim->{requests}, $bearer) || next;    # Nothing came.
                for my $request (grep { $_->{type} eq 'request' } decode_json($batch)->{messages}->@*) {
                    my $message = eval { answer($request, $bearer) } // { type => 'abort', reason => $@ };
                    call('POST', $claim->{responses}, $bearer, { %$message, id => $request->{id} });
                }
            }
        };
    }
}

serve(@ARGV) unless caller;
