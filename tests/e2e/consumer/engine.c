/* The C interface as a C program sees it: prints its version and the message of a failure. */
#include <stdio.h>
#include <xinfer/c_api.h>

int main(void) {
  xi_engine* engine = NULL;
  if (xi_engine_open("absent.engine", NULL, &engine) == 0) return 1;
  printf("%d: %s\n", xi_api_version(), xi_last_error());
  return 0;
}
