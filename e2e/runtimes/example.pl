# Answers vectors with the example: example.pl FOLDER GATEWAY LABEL ANSWERS
use v5.36;
use JSON::PP qw(decode_json encode_json);
use MIME::Base64 qw(encode_base64);

my ($folder, $gateway, $label, $path) = @ARGV;
require "$folder/server.pl";
open my $file, '<:raw', $path or die "$path: $!";
my $answers = decode_json do { local $/; <$file> };

no warnings 'redefine';
*handler = sub ($request, $content) {
    STDOUT->printflush(encode_json({ %$request, bodyBase64 => encode_base64($content, '') }), "\n");
    my ($vector) = grep { $_->[0] eq 'Vector' } $request->{headers}->@*;
    return $answers->{ $vector->[1] };
};
serve($gateway, $label);
