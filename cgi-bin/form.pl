#!/usr/bin/perl -T
# form.pl: what a form sent, read by hand: CGI.pm left the Perl core long ago. Shows the three ways a browser sends a
# form: GET (the query), POST as application/x-www-form-urlencoded, and POST as multipart/form-data with files. Nothing
# is stored; of a file, its name, type, length and first bytes are shown.
#
# Everything is bounded: a body over the limit is answered with 413 and not read, a name or a value is shown in part.

use strict;
use warnings;

my $MOST_URLENCODED = 1 << 20;     # bytes of a urlencoded body
my $MOST_MULTIPART  = 16 << 20;    # bytes of a multipart body
my $MOST_FIELDS     = 500;         # fields that are looked at
my $MOST_SHOWN      = 2000;        # bytes of a value that are shown

my $method = $ENV{REQUEST_METHOD} // 'GET';
my $type   = $ENV{CONTENT_TYPE}   // '';

my @fields;
if ($method eq 'GET' || $method eq 'HEAD') {
    @fields = urlencoded($ENV{QUERY_STRING} // '');
} elsif ($method ne 'POST') {
    refuse('405 Method Not Allowed', 'This page takes GET and POST.', "Allow: GET, HEAD, POST\n");
} elsif ($type =~ m{^application/x-www-form-urlencoded\s*(?:;|$)}i) {
    @fields = urlencoded(body($MOST_URLENCODED));
} elsif ($type =~ m{^multipart/form-data\s*;.*?\bboundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))}i) {
    @fields = multipart(body($MOST_MULTIPART), $1 // $2);
} else {
    refuse('415 Unsupported Media Type', 'A form is sent as a urlencoded or a multipart body.');
}
page('200 OK', 'What the form sent', '', rows(@fields));

# The request's body, which is as long as CONTENT_LENGTH says, or an answer that it is not.
sub body {
    my ($most) = @_;
    my $length = $ENV{CONTENT_LENGTH} // '';
    refuse('411 Length Required', 'The request has no length.') if $length !~ /^\d{1,15}$/;
    refuse('413 Content Too Large', "This form takes $most bytes; $length were announced.") if $length > $most;
    binmode STDIN;
    my ($body, $got) = ('', 0);
    while ($got < $length) {
        my $more = read STDIN, $body, $length - $got, $got;
        last if !$more;
        $got += $more;
    }
    refuse('400 Bad Request', "The body ended after $got of $length bytes.") if $got < $length;
    return $body;
}

# Names and values of a=b&c=d.
sub urlencoded {
    my ($text) = @_;
    my @found;
    for my $pair (split /[&;]/, $text) {
        next if $pair eq '';
        last if @found == $MOST_FIELDS;
        my ($name, $value) = split /=/, $pair, 2;
        push @found, { name => decoded($name), value => decoded($value // '') };
    }
    return @found;
}

sub decoded {
    my ($text) = @_;
    $text =~ tr/+/ /;
    $text =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
    return $text;
}

# The parts of a multipart body (RFC 7578). Found by position, without copying the body for each.
sub multipart {
    my ($body, $boundary) = @_;
    my @found;
    my $mark = "--$boundary";
    my $at   = index $body, $mark;
    while ($at >= 0 && @found < $MOST_FIELDS) {
        my $start = $at + length $mark;
        last if substr($body, $start, 2) ne "\r\n";
        my $head_end = index $body, "\r\n\r\n", $start;
        my $end      = index $body, "\r\n$mark", $start;
        last if $head_end < 0 || $end < 0;
        $at = $end + 2;
        next if $head_end + 4 > $end + 2;
        my $head = substr $body, $start + 2, $head_end - $start;
        my $part = part($head);
        next if !$part;
        $part->{value} = $end > $head_end + 4 ? substr $body, $head_end + 4, $end - $head_end - 4 : '';
        push @found, $part;
    }
    return @found;
}

# A part's name, and its file's name and type.
sub part {
    my ($head) = @_;
    return undef if $head !~ /^Content-Disposition:\s*form-data\b([^\r\n]*)/im;
    my %said;
    my $parameters = $1;
    while ($parameters =~ /;\s*(name|filename)="([^"]*)"/gi) {
        $said{ lc $1 } = $2;
    }
    return undef if !defined $said{name};
    my ($media_type) = $head =~ /^Content-Type:\s*([^\r\n]*)/im;
    return { name => $said{name}, filename => $said{filename}, type => $media_type };
}

sub rows {
    my (@all) = @_;
    return '<p>No field came with this request.</p>' if !@all;
    my $rows = '';
    for my $field (@all) {
        my $shown = shown($field->{value});
        if (defined $field->{filename}) {
            my $file = $field->{filename} eq '' ? 'no file chosen' : $field->{filename};
            my $size = length $field->{value};
            $shown = sprintf '<b>%s</b>, %s, %d bytes', escape($file), escape($field->{type} // 'no type'), $size;
            $shown .= '<br>' . shown(substr $field->{value}, 0, 64) if $size;
        }
        $rows .= sprintf "<tr><th scope=\"row\">%s</th><td>%s</td></tr>\n", shown($field->{name}), $shown;
    }
    my $count = @all;
    my $more = $count == $MOST_FIELDS ? '; if there were more, they were left out' : '';
    return "<p>$count field" . ($count == 1 ? '' : 's') . " by <code>" . escape($method) . "</code>$more.</p>\n"
        . "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Name</th><th scope=\"col\">Value</th></tr></thead>\n"
        . "<tbody>\n$rows</tbody>\n</table></div>";
}

sub shown {
    my ($text) = @_;
    my $cut = length $text > $MOST_SHOWN ? ' …' : '';
    return '<code>' . escape(substr $text, 0, $MOST_SHOWN) . "</code>$cut";
}

# Text for HTML. Bytes that are no UTF-8 and control characters are shown by number.
sub escape {
    my ($text) = @_;
    my %entity = ('&' => '&amp;', '<' => '&lt;', '>' => '&gt;', '"' => '&quot;', "'" => '&#39;');
    my $whole = $text;
    if (!utf8::decode($whole)) {
        $text =~ s/([\x80-\xff])/sprintf '\\x%02x', ord $1/ge;
    }
    $text =~ s/([&<>"'])/$entity{$1}/g;
    $text =~ s/([\x00-\x08\x0b\x0c\x0e-\x1f\x7f])/sprintf '\\x%02x', ord $1/ge;
    return $text;
}

sub refuse {
    my ($status, $why, $fields) = @_;
    page($status, $status, $fields // '', '<p>' . escape($why) . '</p>');
    exit 0;
}

sub page {
    my ($status, $title, $fields, $content) = @_;
    print "Status: $status\n${fields}Content-Type: text/html; charset=utf-8\n\n", <<"PAGE";
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<link rel="stylesheet" href="/style.css">
<link rel="icon" href="/favicon.svg" type="image/svg+xml">
</head>
<body>
<main>
<p class="back"><a href="/forms.html">Forms and scripts</a></p>
<h1>$title</h1>
$content
</main>
</body>
</html>
PAGE
}
