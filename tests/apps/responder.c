/* The responder of every FastCGI book, with the library of the FastCGI Development Kit. */
#include <fcgi_stdio.h>
#include <stdlib.h>

int main(void) {
    int count = 0;
    while (FCGI_Accept() >= 0) {
        const char *length = getenv("CONTENT_LENGTH"), *script = getenv("SCRIPT_NAME");
        long left = length ? atol(length) : 0, sum = 0;
        int c;
        while (left-- > 0 && (c = getchar()) != EOF)
            sum += c;
        printf("Content-Type: text/plain\r\n\r\n");
        printf("request %d script=%s query=%s length=%s sum=%ld\n", ++count, script ? script : "none",
               getenv("QUERY_STRING"), length ? length : "none", sum);
        fprintf(stderr, "complaint %d\n", count);
        FCGI_SetExitStatus(count % 2);
    }
    return 0;
}
