/* The FastCGI application of the bench, with the library of the FastCGI Development Kit: one request at a time, as most are.
 * A request for a name that ends in 64k gets 64 KiB, every other a line. */
#include <fcgiapp.h>
#include <stdlib.h>
#include <string.h>

static const char LINE[] = "All work and no play makes Jack a dull boy.\n";

int main(void)
{
    static char body[64 * 1024];
    FCGX_Request request;
    for (size_t at = 0; at < sizeof body; at++)
        body[at] = LINE[at % (sizeof LINE - 1)];
    if (FCGX_Init() != 0 || FCGX_InitRequest(&request, 0, 0) != 0)
        return 1;
    while (FCGX_Accept_r(&request) == 0) {
        const char *name = FCGX_GetParam("REQUEST_URI", request.envp);
        size_t length = name ? strlen(name) : 0;
        FCGX_PutS("Content-Type: text/plain\r\n\r\n", request.out);
        if (length >= 3 && strcmp(name + length - 3, "64k") == 0)
            FCGX_PutStr(body, sizeof body, request.out);
        else
            FCGX_PutS("hello, world\n", request.out);
        FCGX_Finish_r(&request);
    }
    return 0;
}
