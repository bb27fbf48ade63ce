/* The smallest CGI script: one write. */
#include <unistd.h>

int main(void)
{
    static const char reply[] = "Content-Type: text/plain\n\nhello, world\n";
    return write(1, reply, sizeof reply - 1) == sizeof reply - 1 ? 0 : 1;
}
