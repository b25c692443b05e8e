// The page finds uPlot beside its own files (../files.ts).
export { default } from "uplot";
