#!/usr/bin/perl -T
# printenv.pl: the whole environment of a script, sorted. Shows what the server passes on from the request, what it
# computes, and what SetEnv and PassEnv add.
#
#   /cgi-bin/printenv.pl                 as text, control characters escaped
#   /cgi-bin/printenv.pl?format=html     as a table

use strict;
use warnings;

my $html = ($ENV{QUERY_STRING} // '') =~ /(?:^|&)format=html(?:&|$)/;

if (!$html) {
    print "Content-Type: text/plain; charset=utf-8\n\n";
    for my $name (sort keys %ENV) {
        my $value = $ENV{$name};
        $value =~ s/\\/\\\\/g;
        $value =~ s/([\x00-\x1f\x7f])/sprintf '\\x%02x', ord $1/ge;
        print "$name=$value\n";
    }
    exit 0;
}

print "Content-Type: text/html; charset=utf-8\n\n", <<'HEAD';
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The environment of a script</title>
<link rel="stylesheet" href="/style.css">
<link rel="icon" href="/favicon.svg" type="image/svg+xml">
</head>
<body>
<main>
<p class="back"><a href="/">lychgate</a></p>
<h1>The environment of a script</h1>
<div class="wide"><table>
<thead><tr><th scope="col">Variable</th><th scope="col">Value</th></tr></thead>
<tbody>
HEAD

for my $name (sort keys %ENV) {
    printf "<tr><th scope=\"row\"><code>%s</code></th><td><code>%s</code></td></tr>\n", escape($name), escape($ENV{$name});
}
print "</tbody>\n</table></div>\n</main>\n</body>\n</html>\n";

# Text for HTML.
sub escape {
    my ($text) = @_;
    my %entity = ('&' => '&amp;', '<' => '&lt;', '>' => '&gt;', '"' => '&quot;', "'" => '&#39;');
    $text =~ s/([&<>"'])/$entity{$1}/g;
    $text =~ s/([\x00-\x08\x0b-\x1f\x7f])/sprintf '\\x%02x', ord $1/ge;
    return $text;
}
