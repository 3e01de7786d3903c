#!/bin/sh
# Makes gettysburg.flac: two sentences of the Gettysburg Address (Lincoln, 1863, public domain), read by the voice
# "kal16" of flite (free licence; Debian package "flite"), with a speaker's pause between them, stored by ffmpeg.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
flite -voice kal16 -o "$folder/1.wav" -t "Four score and seven years ago our fathers brought forth on this continent, a new \
nation, conceived in liberty, and dedicated to the proposition that all men are created equal."
flite -voice kal16 -o "$folder/2.wav" -t "The world will little note, nor long remember what we say here, but it can never \
forget what they did here."
ffmpeg -loglevel error -y -i "$folder/1.wav" -i "$folder/2.wav" \
    -filter_complex '[0]apad=pad_dur=0.7[first]; [first][1]concat=n=2:v=0:a=1' \
    -map_metadata -1 -fflags +bitexact -flags:a +bitexact "$here/gettysburg.flac"
