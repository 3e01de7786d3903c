#!/bin/sh
# Makes gettysburg.flac: two sentences of the Gettysburg Address (Lincoln, 1863, public domain) read by the
# voice "kal16" of flite (free licence; Debian package "flite"), stored losslessly by ffmpeg.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
spoken=$(mktemp --suffix=.wav)
trap 'rm -f "$spoken"' EXIT
flite -voice kal16 -o "$spoken" -t "Four score and seven years ago our fathers brought forth on this continent, a new \
nation, conceived in liberty, and dedicated to the proposition that all men are created equal. The world will little \
note, nor long remember what we say here, but it can never forget what they did here."
ffmpeg -loglevel error -y -i "$spoken" -map_metadata -1 -fflags +bitexact -flags:a +bitexact "$here/gettysburg.flac"
