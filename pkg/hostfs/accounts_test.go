package hostfs

import (
	"maps"
	"testing"
)

func TestGroupNames(t *testing.T) {
	got := GroupNames("root:x:0:\nvideo:x:44:pi\nfilm:x:44:\n+:::\nbroken:x:many:\nshort:x:5\n:x:6:\nlast:x:7:pi,eve")
	want := map[int]string{0: "root", 44: "video", 7: "last"}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
