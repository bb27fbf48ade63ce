//! What lychgate does otherwise than Apache, and why: the end of lychgate-apache(7).

/// The sections behind the lists of directives.
pub(super) const APACHE_TAIL: &str = ".Sh ACCESS
Who may see a place, and who is asked for a password, is decided as Apache
decides it, but for these differences.
.Bl -dash
.It
The crypt(3) of DES and yescrypt, and plain text, let nobody in, nor do hashes
whose cost is above bcrypt's 17 or 10,000,000 rounds; the log says so.
.It
A name or password with a NUL in it lets nobody in; Apache takes what stands
before the NUL.
.It
An unknown
.Ic AuthType
is an error of the configuration, not of the requests that need it.
.It
The
.Li Allow
field of a 405 names the methods that
.Ic AllowMethods
lets pass; where a rule or a redirect says 405, all but the one that it was
asked with.
.It
A password that hundreds of others wait before gets 503.
.It
A name of
.Ic <AuthzProviderAlias>
is taken once, and none is that of a kind.
.El
.Sh FASTCGI APPLICATIONS
They are asked and told what Apache's mod_proxy_fcgi asks and tells them, but
for these differences.
.Bl -dash
.It
An application is asked only if the server's own files name its address for
the site, in whichever directive; an
.Pa .htaccess
file or an expression alone does not do.
.It
Of a path that goes through a file, as
.Pa /upload.jpg/x.php
may, the file's own URL must be given to the application too, or the answer
is 404; and what
.Ic SetHandler
gives to php-fpm by a file's name must be a file.
.Ic ProxyFCGIBackendType
and
.Ic ProxyPassMatch
have the details.
.It
A reply that is none is 502, and one that breaks off is cut so that the client
can see it; Apache answers 503, or ends what it has as if it were whole.
.It
The application's Content-Length is kept, and held against what comes.
.It
A
.Li Location
without a status is a redirect, of the server's own where it is a path; Apache
sends it with 200.
.It
A chunked body is kept until its length is known, and the application is told
that.
.Ic LimitRequestBody
holds for applications, too, where it is written.
.It
.Pa .htaccess
files do not set
.Ev PHP_ADMIN_VALUE .
.It
One that could not be reached is tried again with the next request, unless
.Li retry=
says otherwise.
.It
A request ends with the application: Max-Forwards is passed on to it as it is.
.El
.Sh STATUS PAGES
What
.Li server-status
and
.Li server-info
show is not Apache's page, but for
.Li ?auto .
.Bl -dash
.It
They are for clients on this machine unless the section that sets the handler
says who may see them; under Apache what sections around it say is enough.
.Ic ExtendedStatus
has the details.
.It
Of Apache's workers, those that are busy are requests that are being answered,
and idle ones are connections that may still be taken; the scoreboard has a
letter for each, up to 1024.
.It
.Li Server Built
is not told, and counts begin anew with a reload.
.El
.Sh SCGI APPLICATIONS
They are told what Apache's mod_proxy_scgi tells them.
What is said of
replies, of
.Li Location
and of chunked bodies for FastCGI holds for them too.
Where
.Ev proxy-scgi-pathinfo
asks for PATH_INFO, it is decoded.
.Sh AUTHORIZERS
The fields of a FastCGI authorizer that lets the client in go to nobody, but for
those that become variables; Apache sends them.
Its refusal has the type that it says.
A
.Li Location
without a status is a refusal; Apache lets the client in.
.Sh BALANCERS
The order of members, sessions and variables are those of Apache's
mod_proxy_balancer, but for these differences.
.Bl -dash
.It
The virtual hosts that have a balancer from the main server take their turns
together.
.It
A member is left alone when it cannot be reached, and for what
.Li failonstatus=
and
.Li failontimeout=
say; not for an error of this server's own.
.It
Where all members that are not switched off are left alone they are tried, also
beside one that is.
.It
An FPM application is told the member's URL as SCRIPT_FILENAME, not the path
alone.
.It
The balancer manager, health checks and the methods
.Li bytraffic
and
.Li heartbeat
are not there.
.El
.Sh SERVERS BEHIND
They are asked and their answers sent on as by Apache's mod_proxy_http, but for
these differences.
.Bl -dash
.It
There is no forward proxy, and no
.Ic ProxyRemote .
.It
Certificates of servers that are asked over TLS are verified, unless
.Ic SSLProxyVerify
says
.Cm none .
.It
A server is asked only if the server's own files name its address for the
site, as above.
.It
An answer that could be read in two ways is 502: more than one length, a
length beside a coding, a coding of HTTP/1.0, a first line that is no status
line.
One that breaks off is cut so that the client can see it.
.It
Connections are kept for all requests of a worker, those of
.Ic ProxyPassMatch
with
.Li $1
too.
.It
A chunked body goes on in chunks, however short;
.Ev proxy-sendcl
has its length told instead.
A server that leaves
.Li Expect: 100-continue
unanswered gets the body after a second.
.It
The field
.Li Proxy
is passed to nobody, cookies of several lines are joined with a semicolon, and
.Li Connection
takes out nothing that
.Ic RequestHeader
has set.
A client that takes trailers is given them.
.It
Ranges are the business of the server behind: a whole answer stays whole.
.It
A directory that its own rules give to a server behind is asked for by its own
path; Apache puts the first name of
.Ic DirectoryIndex
behind that.
.It
A redirect to a path that rules of a section make of such a request has its
Location; Apache sends none.
.It
TRACE is answered here, where
.Ic TraceEnable
lets it, and not passed on.
.It
An error document that a server behind has keeps the error's status.
.El
.Sh FIELDS AND NAMES
Fields, types and names are Apache's, but for these differences.
.Bl -dash
.It
Fields that frame a message or are the connection's
.Pq Content-Length, Transfer-Encoding, Connection, Date, Server
are out of reach of
.Ic Header ,
but for
.Ql Connection: close
and what a server behind says in Date and Server;
.Ic RequestHeader
changes neither which site answers nor how long a body is.
.It
Lines of one field that
.Ic RequestHeader add
has made are one variable of a script, not the last of them alone.
.It
In a value of
.Ic Header ,
.Ql %b
and
.Ql %i
tell how busy the processors are, for there is no table of workers.
.It
Cookies and other fields that a script prints beside a local Location are
sent with whatever answer there is, as by Apache, but for those that tell of
its own document: besides Content-Type, Content-Length, Content-Range, ETag and
Last-Modified, these are Content-Encoding and Content-MD5 here.
What the next script says of a field is a line of its own, not the end of the
first.
.It
What
.Ic ScriptAlias
leads to is run, whatever
.Ic SetHandler
says, and never shown.
.It
.Ic DirectoryIndexRedirect
keeps the query.
.It
An index file that is closed to the request's own method stays closed where
its directory is asked for by that method; Apache asks for GET alone.
.It
Users who are off for the server by
.Ic UserDir
.Cm disabled
are off for a virtual host with its own
.Ic UserDir
too, and scripts of users do not change to the user by themselves.
.It
A date in If-Modified-Since or If-Unmodified-Since that is not quite HTTP's
counts where it can mean one time only: with UTC or an offset for GMT, a day of
one digit, or
.Ql ; length=
behind it.
With another zone, which Apache takes for GMT, it is ignored.
.El
.Sh SCRIPTS
A script is told what Apache would tell it, variable by variable, but for
these differences.
.Bl -dash
.It
Several Cookie fields are joined with a semicolon; with a comma they could
not be read.
.It
With
.Ic RemoteIPProxyProtocol ,
.Ev REMOTE_PORT
is the client's port, as
.Ev REMOTE_ADDR
is its address; in Apache it stays the balancer's. An address in a field of
.Ic RemoteIPHeader
has all its parts: 203.0.113 is none.
.It
A chunked body is kept until it is complete, so
.Ev CONTENT_LENGTH
is set;
.Ev HTTP_TRANSFER_ENCODING
is not, for the coding is off.
.It
Behind a local redirect, and in an error page, there is no body any more,
and neither
.Ev CONTENT_TYPE
nor
.Ev CONTENT_LENGTH .
.It
What the server computes cannot be set by the configuration; the log says
so.
.It
The words of an indexed query are arguments unless one of them begins with a
dash.
.It
It has a process group of its own, no terminal, signals as they are by
default, and no descriptors but 0, 1 and 2.
.It
When its client leaves, or it is silent for too long, its process group is
ended:
.Ic CGIClientGone ,
.Ic CGIScriptTimeout .
.El
.Pp
Of its reply, these are read in another way.
.Bl -dash
.It
A Status that is not between 200 and 599 is a fault.
.It
A first line like
.Ql HTTP/1.1 404 Not Found
is a Status.
.It
A Last-Modified with an offset,
.Ql +0200 ,
is the time it means; Apache takes whatever zone for GMT.
One whose zone is a name but GMT, UTC or Z is dropped.
.It
If-Unmodified-Since is about the Last-Modified that it tells, and without one
about nothing; Apache takes the present time.
Conditions are about a document, never about a redirect to another place.
.It
Empty lines before the header, and lines of it that are no field, are passed
over as long as one is good.
A folded line belongs to the field before it; a field with a control
character is dropped.
.It
The Content-Length that a script tells is passed on and holds: of a longer
body the rest is cut, behind a shorter one the connection ends, and the error
log tells of both.
Apache counts itself (since 2.4.59), so that a script that counts characters
for bytes seems right there: let it tell no length.
Connection, Keep-Alive, Transfer-Encoding, Trailer and Upgrade are the
server's own affair.
.It
When the script has ended, its reply ends, although a process that it left
behind may hold its output:
.Ic CGIQuietTime .
.El
.Sh REWRITING
Rules do what they do in Apache, but for these differences.
.Bl -dash
.It
A program of
.Ic RewriteMap
that is not told to be somebody runs as User and Group, never as root; it is
started again when it ends, and a request that it does not answer within
.Ic Timeout
fails with 500.
A key is asked once for a request.
.It
A rule in <Files> or <If> within <Directory> or
.Pa .htaccess
sees the name below that directory, as the rules around it do; in Apache,
whose manual does not support rules there, it sees the whole name of the file.
.It
A pattern, of a rule or of anything else that decides about a request, whose
search steps back too often (250,000 times, or a second in all for a request)
ends the request with 500, and the log names it; in Apache it does not match.
Rounds by the flag N end with 500 after a second, however many there were.
.It
Traces tell every step at every level as Apache's do, but for the subrequests
by which Apache finds PATH_TRANSLATED.
.It
A redirect that a later rule turns into a path is a path; Apache answers with
the path's content and the redirect's status.
.It
A Location with a control character is a fault of the rule (500) before it is
sent.
.It
LAST_MODIFIED has the file's time as soon as the file is known, REQUEST_STATUS
the error's number also in the path of an ErrorDocument.
.It
-F and -U are false in a request that is itself only a look of -F or -U, and
where a Header waits for a password to be tried; Apache looks on without end.
.El
.Sh SEE ALSO
.Xr lychgate.conf 5 ,
.Xr lychgate 8
";
