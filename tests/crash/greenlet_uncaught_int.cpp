// What is thrown in a child and caught by nobody ends the process as it would without greenlets. Rules 21, 77.
// expect-signal: SIGABRT
// expect-stderr: terminate called after throwing an instance of 'int'

#include <copse/greenlet.hpp>

int main() {
    copse::greenlet([] { throw 1; }).switch_to();
}
