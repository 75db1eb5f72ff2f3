package cli

import "os"

// keepFiles has nothing to do: a child is given its standard files alone.
func keepFiles() {}

// withoutSignal has nothing to do: there is no SIGPIPE.
func withoutSignal(f *os.File, _ uintptr) *os.File { return f }
